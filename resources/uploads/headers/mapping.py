"""A mapping as a shop gives it: checked when it is set, and laid over the tenant's settings for one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationError, field_validator

from resources.base.client_input import ClientInput
from resources.base.errors import FieldProblem, InvalidInput
from resources.tenants.settings import IGNORE, FileMapping, TenantSettings
from resources.uploads.contract.columns import INTERACTION_TYPES, Kind, columns
from resources.uploads.headers.words import alias_words, exact_words, key_of

MAX_MAPPED = 1000
"""Headers, and names of interactions, that a mapping may have."""


class GivenMapping(FileMapping, ClientInput):
    """A mapping as it is given and shown: of interactions with the names of their types, which are the tenant's.

    `columns` maps headers onto columns of the contract; null and `ignore` mean that one is kept and not used.
    `interaction_types` maps the shop's names onto ours, or onto `ignore`; null leaves them as they are.
    """

    interaction_types: dict[str, str] | None = Field(
        default=None, description="The shop's names of interactions, mapped onto ours or onto `ignore`."
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _ignored(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {header: None if target in (IGNORE, "") else target for header, target in given.items()}

    @property
    def of_file(self) -> FileMapping:
        """The mapping without the names of types."""
        return FileMapping(**self.model_dump(exclude={"interaction_types"}))


def mapping_of(kind: Kind, given: str | Mapping[str, Any]) -> GivenMapping:
    """Read and check a mapping: JSON, or what was read of it.

    Raises:
        InvalidInput: names every field that is wrong, and what it may be.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise _invalid([FieldProblem("mapping", f"is not JSON: {error}")]) from error
        if not isinstance(given, dict):
            raise _invalid([FieldProblem("mapping", 'is not an object such as {"columns": {"SKU": "item_id"}}')])
    try:
        mapping = GivenMapping.model_validate(given)
    except ValidationError as error:
        problems = [FieldProblem(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
        raise _invalid(problems) from error
    return checked_mapping(kind, mapping)


def checked_mapping(kind: Kind, mapping: GivenMapping) -> GivenMapping:
    """Return the mapping with the names of the contract for its targets.

    Raises:
        InvalidInput: names every header that leads nowhere, two headers of one column, and types that there are not.
    """
    problems = [*_column_problems(kind, mapping), *_type_problems(kind, mapping)]
    if problems:
        raise _invalid(problems)
    targets = {header: None if target is None else _column(kind, target) for header, target in mapping.columns.items()}
    return mapping.model_copy(update={"columns": targets})


def laid_over(settings: TenantSettings, kind: Kind, mapping: GivenMapping) -> TenantSettings:
    """Return a tenant's settings for one file that came with a mapping: what it says wins, the rest stays."""
    known = settings.uploads.mappings.get(kind.value, FileMapping())
    keys = {key_of(header) for header in mapping.columns}
    targets = set(mapping.columns.values()) - {None}
    kept = {h: t for h, t in known.columns.items() if key_of(h) not in keys and t not in targets}
    said = {name: value for name, value in mapping.of_file.model_dump().items() if value is not None}
    merged = FileMapping(**{**known.model_dump(), **said, "columns": {**kept, **mapping.columns}})
    uploads = settings.uploads.model_copy(update={"mappings": {**settings.uploads.mappings, kind.value: merged}})
    types = {**settings.interaction_types, **(mapping.interaction_types or {})}
    return settings.model_copy(update={"uploads": uploads, "interaction_types": types})


def _column(kind: Kind, target: str) -> str | None:
    """Return the column that a target names; `name` for `title` and other spellings will do."""
    key = key_of(target)
    return exact_words(kind).get(key) or alias_words(kind).get(key)


def _column_problems(kind: Kind, mapping: GivenMapping) -> Iterator[FieldProblem]:
    if len(mapping.columns) > MAX_MAPPED:
        yield FieldProblem("columns", f"has more than {MAX_MAPPED:,} headers")
        return
    listed = ", ".join(column.name for column in columns(kind))
    seen: dict[str, str] = {}
    headers: dict[str, str] = {}
    for header, target in mapping.columns.items():
        field = f"columns.{header}"
        if not key_of(header):
            yield FieldProblem(field, "is no header: it has neither letters nor digits")
        elif headers.setdefault(key_of(header), header) != header:
            yield FieldProblem(field, f"is the same header as {headers[key_of(header)]}: case and signs do not count")
        if target is None:
            continue
        column = _column(kind, target)
        if column is None:
            yield FieldProblem(field, f"leads to {target[:60]!r}, which is no column of {kind}: {listed}, or {IGNORE}")
        elif seen.setdefault(column, header) != header:
            yield FieldProblem(field, f"leads to {column}, as {seen[column]} does: one column has one header")


def _type_problems(kind: Kind, mapping: GivenMapping) -> Iterator[FieldProblem]:
    own = mapping.interaction_types or {}
    if kind is not Kind.INTERACTIONS:
        if own:
            yield FieldProblem("interaction_types", f"has no use for {kind}: map the types of interactions")
        if mapping.default_interaction_type is not None:
            yield FieldProblem("default_interaction_type", f"has no use for {kind}")
        return
    if len(own) > MAX_MAPPED:
        yield FieldProblem("interaction_types", f"has more than {MAX_MAPPED:,} names")
        return
    listed = ", ".join(INTERACTION_TYPES)
    for name, target in own.items():
        if not name.strip():
            yield FieldProblem("interaction_types", "has a name without text")
        if target not in (*INTERACTION_TYPES, IGNORE):
            yield FieldProblem(
                f"interaction_types.{name}", f"is {target[:60]!r} and has to be one of {listed}, {IGNORE}"
            )


def _invalid(problems: list[FieldProblem]) -> InvalidInput:
    said = "; ".join(f"{problem.field} {problem.message}" for problem in problems[:20])
    return InvalidInput(f"The mapping cannot be used: {said}.", details=tuple(problems))
