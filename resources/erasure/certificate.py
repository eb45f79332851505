"""Certificate of an erasure, for the shop to show. It names the user only by a digest."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from resources.base.errors import UserNotFound
from resources.erasure.places.trace import UserData
from resources.jobs.kinds.erasures import Erasure


class Certificate(BaseModel):
    """Every place where the user was found, what became of it, what has to be trained again, what is out of reach.

    `user_digest` is HMAC-SHA256 of the user's id with `erasure_id` as key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    erasure_id: str
    tenant: str
    user_digest: str
    requested_at: datetime
    completed_at: datetime
    found: tuple[UserData, ...]
    retrain: tuple[str, ...]
    out_of_reach: tuple[str, ...]


def nothing_erased(user_id: str, certificate: Certificate) -> UserNotFound:
    """Return what to tell whoever erased an id of which nothing was found: it must not read as success."""
    beside = "".join(f" Beside that: {each}." for each in certificate.out_of_reach[: -len(BEYOND)])
    return UserNotFound(
        f"Nothing is stored about user {user_id[:80]!r} of tenant {certificate.tenant}, and nothing was erased; check "
        f"the id. {certificate.erasure_id} has looked everywhere.{beside}"
    )


MADE_WITH_THE_USER = (
    "lightgcn_model: vectors of items and of other users were learned with this user's interactions",
    "faiss_index and releases: they hold item vectors of that model until the next run",
    "item_features, popular_items and other sums over all users in dbt/, and evaluation/, until the next run",
)
BEYOND = (
    "backups and copies of the lake or of the control DB that somebody made outside of recsaas",
    "files that the shop has dropped into <lake>/landing/ and that no run has taken in yet",
    "free text of other rows, such as a name in another user's column or in an item's description",
    "temporary copies of a file whose check was killed, and of an export that was killed: they go within a day",
    "logs of the service and of runs, and this request in the access logs of whoever stands in front of the service",
    "other machines' copies of releases, when the lake is an object store: they go when the cache is emptied",
)


def certificate_of(
    erasure: Erasure, found: tuple[UserData, ...], *, now: datetime, retrain: bool, mentions: tuple[str, ...]
) -> Certificate:
    """Write the certificate. `mentions` names files out of reach in which the user's id was seen."""
    return Certificate(
        erasure_id=erasure.id,
        tenant=erasure.tenant.value,
        user_digest=erasure.user_digest,
        requested_at=erasure.requested_at,
        completed_at=now,
        found=found,
        retrain=MADE_WITH_THE_USER if retrain else (),
        out_of_reach=(*mentions, *BEYOND),
    )
