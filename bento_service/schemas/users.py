"""Bodies of the routes about one user."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from bento_service.schemas.common import Answer
from resources.erasure.certificate import Certificate
from resources.jobs.kinds.erasures import Erasure


class PendingErasure(Answer):
    """The erasure is acknowledged and done by itself; `message` says what it waits for."""

    erasure_id: str
    status: Literal["pending"] = "pending"
    status_url: str
    message: str


class ErasureAnswer(Answer):
    """Where an erasure stands. `found` is false when nothing was stored about the user, and null until that is known;
    `retrained_run` is the run that trained without the user, null while one is due."""

    found: bool | None
    erasure_id: str
    status: Literal["pending", "completed"]
    requested_at: datetime
    completed_at: datetime | None
    retrained_run: str | None
    certificate: Certificate | None

    @classmethod
    def of(cls, erasure: Erasure) -> ErasureAnswer:
        """Show what the control DB knows; what was found so far is no certificate."""
        done = erasure.status == "completed"
        certificate = Certificate.model_validate(erasure.certificate) if done else None
        return cls(
            found=bool(certificate.found) if certificate is not None else None,
            erasure_id=erasure.id,
            status=erasure.status,
            requested_at=erasure.requested_at,
            completed_at=erasure.completed_at,
            retrained_run=erasure.retrained_run,
            certificate=certificate,
        )
