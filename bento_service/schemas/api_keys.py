"""Bodies of the routes about API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from bento_service.schemas.common import Answer, Body, Text
from resources.access.scopes import Scope
from resources.control_db.api_keys import ApiKey


class ApiKeyBody(Body):
    """A key to make."""

    name: Annotated[str, Field(min_length=1, max_length=200, description="What the key is for.")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=20, description="All that it may do.")]
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")


class ApiKeyAnswer(Answer):
    """A key without its secret; `key_prefix` is how the secret begins."""

    id: str
    name: str
    key_prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    status: Literal["active", "revoked"]
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> ApiKeyAnswer:
        """Show a key."""
        return cls(
            id=key.id,
            name=key.name,
            key_prefix=key.prefix,
            scopes=tuple(sorted(key.scopes)),
            created_at=key.created_at,
            status=key.status,
            revoked_at=key.revoked_at,
        )


class MadeApiKey(ApiKeyAnswer):
    """A new key; `api_key` is its secret, which is shown only now."""

    api_key: str


class ApiKeyPage(Answer):
    """Keys of the tenant, oldest first."""

    api_keys: tuple[ApiKeyAnswer, ...]
    next_cursor: str | None = None
