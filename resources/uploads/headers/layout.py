"""How the columns of one file are read: which header is which column of the contract, and what is made of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from resources.tenants.settings import FileMapping, TenantSettings, UploadSettings
from resources.uploads.contract.columns import (
    DELETED,
    REJECTED_REASON,
    REJECTED_ROW,
    ColumnSpec,
    Kind,
    ValueType,
    columns,
)
from resources.uploads.contract.findings import Finding
from resources.uploads.headers.presets import Preset, find_preset
from resources.uploads.headers.shaping import (
    ColumnStep,
    Constant,
    FirstFilled,
    FirstOfList,
    InStock,
    Negated,
    Tags,
    complete,
)
from resources.uploads.headers.words import (
    GROUP,
    STOCK,
    alias_words,
    exact_words,
    key_of,
    sure_column,
    title_language,
)

VARIANT_SKUS = "extra_variant_skus"
"""Extra column of an item with the shop's ids of its variants, separated by a vertical bar."""
_OURS = (REJECTED_ROW, REJECTED_REASON)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the columns of a file are read.

    `headers` are the file's, told apart where they are the same; `names` has the internal name of each: a column of the
    contract, or `extra_<name>`. `steps` make more columns of them. `types` are names of interactions that a known
    export uses, in lower case. `variants` says that several rows may be one item; `parent` names the columns of the
    item that a row is a variant of and of the ids by which it is named there.
    """

    headers: tuple[str, ...]
    names: tuple[str, ...]
    steps: tuple[ColumnStep, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None
    variants: bool = False
    parent: tuple[str, str] | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def made(self) -> frozenset[str]:
        """Columns that the steps make."""
        return frozenset(step.column for step in self.steps)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Headers whose columns are kept and not used."""
        used = {name for step in self.steps for name in step.needs}
        named = zip(self.headers, self.names, strict=True)
        return tuple(h.strip() for h, name in named if name.startswith("extra_") and name not in used and h.strip())

    @property
    def targets(self) -> tuple[str | None, ...]:
        """Of each header the column of the contract that it is read as; None when it is kept and not used."""
        made = {name: step.column for step in self.steps for name in step.needs if not step.column.startswith("extra_")}
        return tuple(made.get(name) if name.startswith("extra_") else name for name in self.names)

    @property
    def added(self) -> tuple[str, ...]:
        """Columns that the steps make and the file does not have."""
        return tuple(dict.fromkeys(step.column for step in self.steps if step.column not in self.names))

    def complete(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a batch of text with the columns that are made of others."""
        return complete(frame, self.steps)

    def applied_to(self, settings: TenantSettings) -> TenantSettings:
        """Return the tenant's settings with the names of interactions that a known export uses; its own win."""
        if not self.types:
            return settings
        return settings.model_copy(update={"interaction_types": {**self.types, **settings.interaction_types}})


@dataclass(frozen=True, slots=True)
class Recognition:
    """Whether a line of text is the header of a kind of file: nothing required is missing (`complete`), and how many of
    its fields are columns of the contract (`listed`)."""

    complete: bool
    listed: int


def recognise(kind: Kind, fields: Sequence[str], settings: UploadSettings) -> Recognition:
    """Say how much of a header a line of text is."""
    layout = read_headers(kind, fields, settings)
    return Recognition(not missing_columns(kind, layout), sum(target is not None for target in layout.targets))


def missing_columns(kind: Kind, layout: Layout) -> tuple[ColumnSpec, ...]:
    """Return the required columns that a file lacks; one that only deletes needs no titles."""
    there = {*layout.names, *layout.made}
    missing = tuple(column for column in columns(kind) if column.required and column.name not in there)
    if DELETED in layout.names:
        missing = tuple(column for column in missing if column.value_type is not ValueType.TEXT)
    return missing


def read_headers(kind: Kind, headers: Sequence[str], settings: UploadSettings) -> Layout:
    """Decide what each column of a file is. Whether a required one is missing is for `refuse_what_is_missing`.

    What decides, in this order: the tenant's mapping; the name in the contract; a known export that has all these
    headers; the alias; a word that surely means the column. Two headers for one column decide nothing. With `strict`
    only the mapping, the name and the alias count, and names are compared without case and surrounding blanks alone.
    """
    mapping = settings.mappings.get(kind.value, FileMapping())
    strict = settings.strictness == "strict"
    choice = _Choice(kind, tuple(headers), strict=strict)
    choice.take_mapping(mapping)
    choice.take_names()
    preset = None if strict else find_preset(kind, choice.headers)
    if preset is not None:
        choice.take_preset(preset)
    choice.take_words(alias_words(kind))
    if not strict:
        choice.take_sure_words()
        choice.take_titles()
        choice.take_stock_and_group()
    choice.take_type(mapping, preset)
    return choice.layout(preset)


class _Choice:
    """What is decided so far about the headers of a file; each `take_…` leaves what is decided as it is."""

    def __init__(self, kind: Kind, headers: tuple[str, ...], *, strict: bool) -> None:
        self.kind = kind
        self.strict = strict
        self.headers = headers
        self._keys = [self._key(header) for header in headers]
        self._listed = {column.name for column in columns(kind)}
        self._extras = _distinct(
            [f"extra_{header.strip().lower() or f'column_{place}'}" for place, header in enumerate(headers, start=1)]
        )
        self._targets: dict[int, str | None] = {}
        self._by_tenant: set[int] = set()
        self._undecided: set[str] = set()
        self._steps: list[ColumnStep] = []
        self._findings: list[Finding] = []
        self._skus: int | None = None
        self._parents: int | None = None
        self._variants = False

    def take_mapping(self, mapping: FileMapping) -> None:
        """Apply what the tenant says; a header that the file lacks, and a column that there is not, are warned of."""
        wanted = {self._key(header): (header, target) for header, target in mapping.columns.items()}
        for key, (header, target) in wanted.items():
            places = [place for place, each in enumerate(self._keys) if each == key]
            if not places:
                self._note("mapped_header_absent", target, header)
            elif target is not None and target not in self._listed:
                self._note("mapped_column_unknown", None, header, target)
            elif target is None or target not in self._taken:
                self._targets[places[0]] = target
                self._by_tenant.add(places[0])
                if target is not None:
                    self._note("header_mapped", target, header)

    def take_names(self) -> None:
        """Apply the names of the contract: first those that are spelled so, then those that differ in signs."""
        for place, header in enumerate(self.headers):
            name = header.strip().lower()
            if place not in self._targets and (name in self._listed or name in _OURS) and name not in self._taken:
                self._targets[place] = name
        if not self.strict:
            self._fill_from_repeated()
            self.take_words(exact_words(self.kind))

    def take_words(self, words: Mapping[str, str]) -> None:
        """Apply words, each the key of a column, where no other header is the column already."""
        found: dict[str, list[int]] = {}
        for place, key in enumerate(self._keys):
            if place not in self._targets and key in words and words[key] not in self._taken:
                found.setdefault(words[key], []).append(place)
        self._apply(found)

    def take_sure_words(self) -> None:
        """Apply words of several languages that mean one column and nothing else."""
        found: dict[str, list[int]] = {}
        for place, key in enumerate(self._keys):
            column = sure_column(self.kind, key) if place not in self._targets else None
            if column is not None and column not in self._taken:
                found.setdefault(column, []).append(place)
        self._apply(found)

    def take_titles(self) -> None:
        """Take the title in the first of `LANGUAGES` that the file has; the others stay extra columns."""
        if self.kind is not Kind.ITEMS or "title" in self._taken:
            return
        places = {place: title_language(header) for place, header in enumerate(self.headers)}
        known = {place: order for place, order in places.items() if order is not None and place not in self._targets}
        if known:
            self._apply({"title": [min(known, key=lambda place: known[place])]})

    def take_stock_and_group(self) -> None:
        """Make the availability out of pieces in stock, and one item out of the variants of a group."""
        if self.kind is not Kind.ITEMS:
            return
        stock = self._free(STOCK)
        if len(stock) == 1 and "available" not in self._taken:
            self._make(InStock("available", (self._extra(stock[0]),)))
            self._note("stock_read", "available", self.headers[stock[0]])
        group, own = self._free(GROUP), self._place("item_id")
        if len(group) == 1 and own is not None and not self._variants:
            self._skus, self._variants = own, True
            del self._targets[own]
            self._targets[group[0]] = "item_id"
            self._make(FirstFilled("item_id", ("item_id", self._extra(own))))
            self._note("group_read", "item_id", self.headers[group[0]])

    def take_preset(self, preset: Preset) -> None:
        """Apply a known export; what the tenant or the contract names already stays."""
        self._note("known_export", None, preset.name)
        found: dict[str, list[int]] = {}
        by_key = {key: place for place, key in reversed(list(enumerate(self._keys)))}
        for header, column in preset.columns.items():
            place = by_key.get(self._key(header))
            if place is not None and place not in self._by_tenant:
                found.setdefault(column, []).append(place)
        for column, places in found.items():
            taken = self._place(column)
            if taken is not None and taken not in places:
                continue
            self._undecided.discard(column)
            first, *others = places
            for place in places:
                self._targets.pop(place, None)
            self._targets[first] = column
            if others:
                self._make(FirstFilled(column, (column, *(self._extra(place) for place in others))))
        self._take_lists(preset, by_key)
        self._variants = preset.variants
        if preset.sku is not None:
            self._skus = by_key.get(self._key(preset.sku))
        if preset.parent is not None:
            self._parents = by_key.get(self._key(preset.parent))

    def take_type(self, mapping: FileMapping, preset: Preset | None) -> None:
        """Decide the type of all rows where no column says it."""
        if self.kind is not Kind.INTERACTIONS or "interaction_type" in self._taken:
            return
        default: str
        if mapping.default_interaction_type is not None:
            default, code = mapping.default_interaction_type, "default_type"
        elif preset is not None and preset.default_type is not None:
            default, code = preset.default_type, "default_type"
        elif "rating" in self._taken and not self.strict:
            default, code = "rating", "type_of_ratings"
        else:
            return
        self._make(Constant("interaction_type", default))
        self._note(code, "interaction_type", default)

    def layout(self, preset: Preset | None) -> Layout:
        """Return what was decided, with names and headers told apart."""
        names = [self._targets.get(place) or self._extra(place) for place in range(len(self.headers))]
        headers = _distinct([header.strip() for header in self.headers])
        twice = [each for each, count in Counter(h.strip().lower() for h in self.headers).items() if each and count > 1]
        if twice:
            self._note("header_repeated", None, *twice)
        for place, target in self._targets.items():
            exact = self.headers[place].strip().lower() == target or target in _OURS
            if target is not None and not exact and not self._noted("header_mapped", target):
                self._note("header_read_as", target, self.headers[place].strip())
        if self._skus is not None and self._variants:
            self._make(FirstFilled(VARIANT_SKUS, (names[self._skus],)))
        return Layout(
            headers=tuple(headers),
            names=tuple(names),
            steps=tuple(self._steps),
            types={} if preset is None else {name.lower(): target for name, target in preset.types.items()},
            preset=None if preset is None else preset.name,
            variants=self._variants,
            parent=None if self._parents is None or self._skus is None else (names[self._parents], names[self._skus]),
            findings=tuple(self._findings),
        )

    @property
    def _taken(self) -> set[str]:
        named = {target for target in self._targets.values() if target}
        return named | self._undecided | {step.column for step in self._steps}

    def _fill_from_repeated(self) -> None:
        """Let a second column with the very name of one of ours fill the empty cells of the first."""
        names = [header.strip().lower() for header in self.headers]
        for place, target in list(self._targets.items()):
            others = [
                each
                for each, name in enumerate(names)
                if each != place and name == target and each not in self._targets
            ]
            if target in self._listed and names[place] == target and others:
                self._targets |= dict.fromkeys(others)
                self._make(FirstFilled(target, (target, *(self._extra(each) for each in others))))

    def _take_lists(self, preset: Preset, by_key: Mapping[str, int]) -> None:
        if preset.hidden is not None and (place := by_key.get(self._key(preset.hidden))) is not None:
            self._make(Negated("available", (self._extra(place),)))
        if preset.categories is not None and "category" not in self._taken:
            place = by_key.get(self._key(preset.categories[0]))
            if place is not None:
                self._make(FirstOfList("category", (self._extra(place),), preset.categories[1]))
        if preset.tags is not None:
            place = by_key.get(self._key(preset.tags[0]))
            if place is not None and self._place("tags") in (None, place):
                self._targets[place] = "tags"
                self._make(Tags("tags", ("tags",), preset.tags[1]))

    def _apply(self, found: Mapping[str, list[int]]) -> None:
        for column, places in found.items():
            if len(places) == 1:
                self._targets[places[0]] = column
            else:
                self._undecided.add(column)
                self._note("header_ambiguous", column, *(self.headers[place].strip() for place in places))

    def _make(self, step: ColumnStep) -> None:
        self._steps.append(step)

    def _note(self, code: str, column: str | None, *examples: str) -> None:
        self._findings.append(Finding(code, column, max(1, len(examples)), tuple(examples)))

    def _noted(self, code: str, column: str) -> bool:
        return any(each.code == code and each.column == column for each in self._findings)

    def _place(self, column: str) -> int | None:
        return next((place for place, target in self._targets.items() if target == column), None)

    def _free(self, words: Sequence[str]) -> list[int]:
        keys = {self._key(word) for word in words}
        return [place for place, key in enumerate(self._keys) if key in keys and place not in self._targets]

    def _extra(self, place: int) -> str:
        return self._extras[place]

    def _key(self, header: str) -> str:
        return header.strip().lower() if self.strict else key_of(header)


def _distinct(names: Sequence[str]) -> list[str]:
    """Tell apart what is named the same: the second gets `_2`, and so on."""
    seen: set[str] = set()
    distinct = []
    for name in names:
        number, tried = 2, name
        while tried and tried.lower() in seen:
            tried, number = f"{name}_{number}", number + 1
        seen.add(tried.lower())
        distinct.append(tried)
    return distinct
