"""Names of interaction types, of the tenant's and of known programs, mapped onto ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import INTERACTION_TYPES
from resources.uploads.normalising.cells import ReadColumn
from resources.uploads.normalising.texts import clean_text

IGNORE = "ignore"
"""What a name may be mapped onto whose rows are left out."""


@dataclass(frozen=True, slots=True)
class TypeNames:
    """Every name that a tenant's files and events may use, in lower case, with the type that it is."""

    names: Mapping[str, str]

    @classmethod
    def of(cls, settings: TenantSettings) -> TypeNames:
        """The names of a tenant; its own win."""
        own = {name.strip().lower(): target for name, target in settings.interaction_types.items()}
        return cls({**{name: name for name in INTERACTION_TYPES}, **own})

    def find(self, name: str) -> str | None:
        """Return the type that a name is, `IGNORE`, or None for an unknown one."""
        return self.names.get(name.strip().lower())


def read_type_names(text: pl.Series, types: TypeNames) -> ReadColumn:
    """Read a column of names (String)."""
    cleaned = clean_text(text)
    return ReadColumn(
        cleaned, cleaned.str.to_lowercase().replace_strict(dict(types.names), default=None, return_dtype=pl.String)
    )
