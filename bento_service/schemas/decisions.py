"""Bodies of the routes about an answer that was given: receipts, batches, and why an item is not in an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from bento_service.http.errors import ErrorInfo
from bento_service.schemas.common import Answer, Body
from bento_service.schemas.recommendations import RecommendationAnswer
from resources.decisions.decision import Decision, DecisionKind
from resources.ranker.ranking import PlaceState
from resources.release.manifest import GateDecision, ReleaseManifest, UploadReference

MAX_BATCH = 100


class ReceiptItem(Answer):
    """One item that was shown; `propensity` is the probability with which it is shown at this position."""

    item_id: str
    position: int
    score: float
    source: str
    propensity: float


class Lineage(Answer):
    """What the release of the answer was made of.

    `model_run` is the Dagster run. `erased_copy` names the copy of the release that took its place when a user was
    erased: then what is said here is the copy's. `uploads` are null for a key without `analytics:read`.
    """

    release_version: str
    model_run: str
    algorithm: str
    training_set_fingerprint: str
    dbt_invocation_id: str
    dbt_project_hash: str
    code_version: str
    uploads: tuple[UploadReference, ...] | None
    event_watermark: int
    item_watermark: int
    trained_at: datetime
    events_until: datetime | None
    gate: GateDecision
    erased_copy: str | None

    @classmethod
    def of(cls, manifest: ReleaseManifest, *, asked: str) -> Lineage:
        """Show a manifest; `asked` is the release of the answer."""
        return cls(
            release_version=asked,
            model_run=manifest.dagster_run_id,
            algorithm=manifest.algorithm,
            training_set_fingerprint=manifest.training_set_fingerprint,
            dbt_invocation_id=manifest.dbt_invocation_id,
            dbt_project_hash=manifest.dbt_project_hash,
            code_version=manifest.code_version,
            uploads=manifest.uploads,
            event_watermark=manifest.event_watermark,
            item_watermark=manifest.item_watermark,
            trained_at=manifest.trained_at,
            events_until=min(manifest.events_until, manifest.created_at) if manifest.events_until else None,
            gate=manifest.gate,
            erased_copy=manifest.version if manifest.version != asked else None,
        )


class Receipt(Answer):
    """What was answered, to whom, and what it was made of.

    `events_seen` is the number of the newest event that the answer took in, `state_version` that of the tenant's item
    changes and rules, `rules` are the ids of the rules in force, `offset` counts the items of the pages before.
    `lineage` is null when the release is not kept any more. For a key without `analytics:read` the user and the visit
    are null: whose answer it was is nothing that a key in a page has to know.
    """

    recommendation_id: str
    at: datetime
    kind: DecisionKind
    user_id: str | None
    session_id: str | None
    scenario: str | None
    variant: str | None
    algorithm: str
    degraded: bool
    fallback_reason: str | None
    release_version: str
    items: tuple[ReceiptItem, ...]
    rules: tuple[str, ...]
    event_watermark: int
    events_seen: int
    state_version: int
    offset: int
    request_id: str
    lineage: Lineage | None

    @classmethod
    def of(cls, decision: Decision, lineage: Lineage | None) -> Receipt:
        """Show a decision."""
        return cls(
            recommendation_id=decision.recommendation_id,
            at=decision.at,
            kind=decision.kind,
            user_id=decision.user_id,
            session_id=decision.session_id,
            scenario=decision.scenario,
            variant=decision.variant,
            algorithm=decision.algorithm,
            degraded=decision.degraded,
            fallback_reason=decision.fallback_reason,
            release_version=decision.release_version,
            items=tuple(ReceiptItem(**item._asdict()) for item in decision.items),
            rules=decision.rules,
            event_watermark=decision.event_watermark,
            events_seen=decision.events_seen,
            state_version=decision.state_version,
            offset=decision.offset,
            request_id=decision.request_id,
            lineage=lineage,
        )

    def for_public_key(self) -> Receipt:
        """The same without what names a user, a visit or an upload."""
        lineage = self.lineage.model_copy(update={"uploads": None}) if self.lineage is not None else None
        return self.model_copy(update={"user_id": None, "session_id": None, "lineage": lineage})


class BatchRequest(Body):
    """Ask for several recommendations at once; each is a body of `POST /api/v1/recommendations`."""

    requests: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=MAX_BATCH)]


class BatchResult(Answer):
    """The answer to one request of a batch, or its error; `status` is what it would have been answered with alone."""

    status: int
    answer: RecommendationAnswer | None = None
    error: ErrorInfo | None = None


class BatchAnswer(Answer):
    """One result for each request, in their order."""

    results: tuple[BatchResult, ...]


class WhyNot(Answer):
    """Where an item stands in a user's list, or why it is not in it; `rank` only when it is ranked."""

    user_id: str | None
    item_id: str
    status: PlaceState
    rank: int | None
    score: float | None
    source: str | None
    message: str
    release_version: str
