"""Bodies of the mapping routes."""

from __future__ import annotations

from pydantic import Field

from bento_service.schemas.common import Answer
from resources.uploads.contract.columns import Kind
from resources.uploads.headers.mapping import GivenMapping


class MappingBody(GivenMapping):
    """How the tenant's files of a kind are to be read: all of it, what is left out is found from each file."""

    tenant_id: str | None = Field(default=None, description="Has to agree with the credential, if it is there.")


class MappingAnswer(Answer):
    """How the tenant's files of a kind are read; null is found from each file.

    `interaction_types` are the tenant's names of interactions, of its files and events; null for other kinds.
    """

    kind: Kind
    columns: dict[str, str | None]
    separator: str | None
    encoding: str | None
    decimal: str | None
    date_order: str | None
    default_interaction_type: str | None
    interaction_types: dict[str, str] | None

    @classmethod
    def of(cls, kind: Kind, mapping: GivenMapping) -> MappingAnswer:
        """Show a mapping."""
        return cls(kind=kind, **mapping.model_dump())
