"""What a file's columns probably are: a proposal from words and contents, for a person to accept or to correct."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from resources.base.errors import FieldProblem, UploadRefused
from resources.tenants.settings import FileMapping, UploadSettings
from resources.uploads.contract.columns import INTERACTION_TYPES, ColumnSpec, Kind, ValueType, columns
from resources.uploads.headers.layout import Layout, missing_columns, read_headers
from resources.uploads.headers.words import key_of, likely_words

SAMPLE_ROWS = 50
"""Rows of a file whose cells are looked at."""
_TIME = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?|\d{9,10}(\.\d+)?|\d{13}|\d{16}|"
    r"(19|20)\d{6}(\d{6})?"
)
_VALUE = re.compile(r"[-+]?\d+([.,]\d+)?")
_ID = re.compile(r"[\w.@:+-]{1,64}")
_TYPE_WORDS = frozenset(
    map(key_of, (*INTERACTION_TYPES, "buy", "cart", "order", "transaction", "page_view", "pageview"))
)
_MOST_NAMED = 30

Sample = Sequence[Sequence[str]]
"""Cells of the first rows of a file, one sequence for each column."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """How a file would be read. `mapping` is what a tenant may accept as it stands; `missing` are required columns
    for which nothing was found; `preset` is the known export that the file is; `reasons` says why, by header."""

    kind: Kind
    mapping: FileMapping
    reasons: Mapping[str, str]
    missing: tuple[str, ...]
    preset: str | None = None
    ignored: tuple[str, ...] = ()


def propose(
    kind: Kind,
    headers: Sequence[str],
    sample: Sample,
    settings: UploadSettings,
    *,
    known_items: Collection[str] = (),
) -> Proposal:
    """Propose what each column is: what is read by itself, then likely words, then contents.

    Args:
        sample: cells of the first rows, one sequence for each header.
        known_items: ids of the tenant's items, to find the column that has them.
    """
    layout = read_headers(kind, headers, settings)
    sure = _read_by_itself(layout)
    free = {place: header for place, header in enumerate(headers) if layout.names[place].startswith("extra_")}
    found: dict[str, tuple[str, str]] = {}
    wanted = [column for column in missing_columns(kind, layout) if column.name not in found]
    guesses = _Guesses(kind, free, sample, known_items)
    wanted = sorted(wanted, key=lambda spec: _ORDER.index(spec.name))
    before = -1
    while len(found) > before:  # what is found makes the others fewer
        before = len(found)
        named = {target for target, _ in found.values()}
        for column in wanted:
            guess = None if column.name in named else guesses.guess(column)
            if guess is not None:
                found[guess[0]] = (column.name, guess[1])
    default = None
    named = {target for target, _ in found.values()}
    if kind is Kind.INTERACTIONS and "rating" in named and "interaction_type" not in named:
        default = "rating"
    missing = tuple(column.name for column in wanted if column.name not in named)
    return Proposal(
        kind,
        FileMapping(
            columns={**{header: target for header, target in sure.items()}, **{h: c for h, (c, _) in found.items()}},
            default_interaction_type=default,
        ),
        {**dict.fromkeys(sure, "the header says it"), **{header: reason for header, (_, reason) in found.items()}},
        missing,
        layout.preset,
        tuple(header for header in layout.ignored if header not in found),
    )


def refuse_repeated(layout: Layout, settings: UploadSettings, *, filename: str) -> None:
    """Refuse a file with two headers of one name, where the tenant wants it strict.

    Raises:
        UploadRefused: `duplicate_header`.
    """
    twice = [name for each in layout.findings if each.code == "header_repeated" for name in each.examples]
    if twice and settings.strictness == "strict":
        raise UploadRefused(
            "duplicate_header",
            f"{filename} names {', '.join(twice)} more than once (case and blanks do not count); rename or remove one.",
        )


def refuse_what_is_missing(
    kind: Kind,
    headers: Sequence[str],
    layout: Layout,
    settings: UploadSettings,
    *,
    filename: str,
    separator: str = ",",
    sample: Callable[[], Sample],
) -> None:
    """Refuse a file that lacks a required column, with what could be it and how to say so.

    Args:
        separator: the sign between its cells.
        sample: reads the cells of the first rows; only called for a file that is refused.

    Raises:
        UploadRefused: `no_header` when no header is a column, `missing_column` else.
    """
    missing = missing_columns(kind, layout)
    if not missing:
        return
    found = ", ".join(header.strip()[:60] for header in headers[:_MOST_NAMED])
    proposal = propose(kind, headers, sample(), settings)
    nothing = not any(column.name in layout.names for column in columns(kind))
    is_data = any(_VALUE.fullmatch(header.strip()) or _TIME.fullmatch(header.strip()) for header in headers)
    if nothing and (is_data or not proposal.mapping.columns):
        hint = " It looks separated by semicolons: use commas." if ";" in headers[0] else ""
        raise UploadRefused(
            "no_header",
            f"{filename}: the first line is not a header for {kind}; it reads: {found}.{hint} "
            f"Put the column names on the first line; required are: {_required(kind)}. If the file has none, put a "
            f"line such as this above it, a name for each column: {_header_line(kind, len(headers), separator)}",
        )
    wanted = ", ".join(f"{c.name} (or {c.alias})" if c.alias else c.name for c in missing)
    raise UploadRefused(
        "missing_column",
        f"{filename} lacks the required column {wanted}. Found: {found}. {_advice(proposal, missing, layout)}",
        details=tuple(FieldProblem(column.name, "is missing") for column in missing),
    )


def _advice(proposal: Proposal, missing: Sequence[ColumnSpec], layout: Layout) -> str:
    lacking = {column.name for column in missing}
    proposed = {header: target for header, target in proposal.mapping.columns.items() if target in lacking}
    said = []
    twice = [each for each in layout.findings if each.code == "header_ambiguous" and each.column in lacking]
    said += [f"{' and '.join(each.examples)} could each be {each.column}: say which." for each in twice]
    if proposed:
        shown = ", ".join(f"{header} as {target}" for header, target in proposed.items())
        maps = " ".join(f"--map '{header}={target}'" for header, target in proposed.items())
        mapping = json.dumps({"columns": proposed}, ensure_ascii=False)
        said.append(
            f"We would read {shown}. To accept that, upload with {maps}, or with the form field mapping={mapping}; for "
            f"all files of the shop: recsaas tenant mapping set TENANT {proposal.kind} {maps}, or PUT "
            f"/api/v1/mappings/{proposal.kind}."
        )
    for column in proposal.missing:
        said.append(_HOW.get(column, f"Add {column}, rename a column, or map one with --map HEADER={column}."))
    return " ".join(said)


_HOW = {
    "interaction_type": (
        "Add interaction_type; if all rows are of one type, say which with --default-type purchase, or with the form "
        'field mapping={"default_interaction_type": "purchase"}.'
    ),
    "timestamp": (
        "Every interaction needs its time: add timestamp, or map a column with --map HEADER=timestamp. Data that only "
        "has an order of purchases has no times that could be read; export it with dates."
    ),
}
_ORDER = ("timestamp", "interaction_type", "item_id", "user_id", "title")
"""What is easier to recognise comes first."""


class _Guesses:
    """Guesses which of the headers that are still free is a column."""

    def __init__(self, kind: Kind, free: Mapping[int, str], sample: Sample, known_items: Collection[str]) -> None:
        self._kind = kind
        self._free = dict(free)
        self._cells = {place: _filled(sample[place]) if place < len(sample) else () for place in free}
        self._known_items = frozenset(known_items)

    def guess(self, column: ColumnSpec) -> tuple[str, str] | None:
        """Return the header that is probably the column, and why; it is not free any more."""
        for reason, places in (
            ("its cells are ids of the catalogue", self._where(self._in_catalogue) if column.name == "item_id" else ()),
            ("the header often means it", self._by_word(column.name)),
            ("its cells look like it", self._by_content(column)),
        ):
            if len(places) == 1:
                self._cells.pop(places[0], None)
                return self._free.pop(places[0]).strip(), reason
        return None

    def _by_word(self, column: str) -> list[int]:
        words = likely_words(self._kind)
        return [place for place, header in self._free.items() if column in words.get(key_of(header), ())]

    def _by_content(self, column: ColumnSpec) -> list[int]:
        if column.value_type is ValueType.TIME:
            return self._where(lambda cells, _: all(_TIME.fullmatch(cell) for cell in cells))
        if column.value_type is ValueType.INTERACTION_TYPE:
            return self._where(_are_types)
        if column.value_type is ValueType.ID:
            return self._where(lambda cells, _: all(_ID.fullmatch(cell) for cell in cells))
        return self._where(lambda cells, _: all(" " in c or c.isalpha() for c in cells) and max(map(len, cells)) < 300)

    def _in_catalogue(self, cells: Sequence[str], header: str) -> bool:
        return 2 * sum(cell in self._known_items for cell in cells) > len(cells)

    def _where(self, fits: Callable[[Sequence[str], str], bool]) -> list[int]:
        return [
            place for place, header in self._free.items() if self._cells[place] and fits(self._cells[place], header)
        ]


def _are_types(cells: Sequence[str], header: str) -> bool:
    """Types of interactions, or a header that is the type of all rows itself."""
    keys = {key_of(cell) for cell in cells}
    return keys <= _TYPE_WORDS or keys == {key_of(header)}


def _filled(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(stripped for cell in cells if (stripped := (cell or "").strip()))


def _read_by_itself(layout: Layout) -> dict[str, str]:
    named = zip(layout.headers, layout.targets, strict=True)
    listed = {header.strip(): target for header, target in named if target and not target.startswith("rejected_")}
    first: dict[str, str] = {}
    for header, target in listed.items():
        if target not in first.values():
            first[header] = target
    return first


def _header_line(kind: Kind, width: int, separator: str) -> str:
    """Return a header for a file that has none: the required columns, and places for the others."""
    required = [column.name for column in columns(kind) if column.required]
    named = [*required, *(f"column_{place}" for place in range(len(required) + 1, width + 1))]
    return separator.join(named[: max(width, len(required))][:_MOST_NAMED])


def _required(kind: Kind) -> str:
    return ", ".join(column.name for column in columns(kind) if column.required)
