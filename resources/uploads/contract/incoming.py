"""A file as it came in, and what it has to keep to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from resources.access.actor import SYSTEM, Actor
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import DEFAULT_LIMITS, UploadLimits

UploadOrigin = Literal["http", "cli", "landing"]


@dataclass(frozen=True, slots=True)
class IncomingUpload:
    """A file that is to be checked and, unless `validate_only`, stored.

    `received_at` is when it was acknowledged: what came by API since is later. `sha256` is the checksum of the content,
    in hex, where it is known already. `by` is who sent it.
    """

    kind: Kind
    content: Path | bytes
    filename: str
    origin: UploadOrigin
    received_at: datetime
    sha256: str | None = None
    validate_only: bool = False
    by: Actor = SYSTEM


@dataclass(frozen=True, slots=True)
class UploadPolicy:
    """Requirements on a file: its tenant's settings, the most bytes of its text, and what its check may cost."""

    settings: TenantSettings
    max_bytes: int
    limits: UploadLimits = DEFAULT_LIMITS
