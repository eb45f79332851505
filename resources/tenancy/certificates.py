"""What the erasure of a tenant leaves: a certificate of every place, with a hash over it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

KEPT = (
    "the tenant's id, so that it is never given out again, and the times of its making and of its erasure",
    "the audit log of the tenant: who did what, for as long as the platform keeps it; it names no customer of the shop",
    "this certificate",
)
BEYOND = (
    "backups and copies that somebody made outside of recsaas, and archives that the tenant has taken along",
    "answers that workers share in Redis or Valkey: their names tell nothing, and they end by themselves in 5 minutes",
    "copies of releases in the memory of workers, until they are pushed out, and on other machines when the lake is an "
    "object store, until the cache there is emptied",
    "logs of the service, of runs, and of whoever stands in front of the service",
)


class ErasedPlace(BaseModel):
    """One place: how much was found there in all attempts together, and how much in a last look after it was emptied.

    What was found is no longer there when `left` is 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    found: int
    removed: int
    left: int


class TenantCertificate(BaseModel):
    """Certificate of an erased tenant. `sha256` is over the other fields as JSON, in the order of their names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    erasure_id: str
    tenant: str
    requested_at: datetime
    requested_by: str
    completed_at: datetime
    places: tuple[ErasedPlace, ...]
    kept: tuple[str, ...]
    out_of_reach: tuple[str, ...]
    sha256: str = ""

    def hashed(self) -> TenantCertificate:
        """Return it with its hash."""
        return self.model_copy(update={"sha256": certificate_hash(self.model_dump(mode="json"))})

    @property
    def holds(self) -> bool:
        """Whether it is as it was written."""
        return self.sha256 == certificate_hash(self.model_dump(mode="json"))


def certificate_hash(fields: dict[str, Any]) -> str:
    """SHA-256 of the fields of a certificate, without `sha256` itself."""
    rest = {name: value for name, value in fields.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
