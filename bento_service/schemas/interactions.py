"""Bodies of the event routes (docs/api.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, model_validator

from bento_service.http.errors import ErrorInfo
from bento_service.schemas.common import Answer, Body, JsonObject, NewId, OptionalId, PlainText, Text, check_size
from bento_service.schemas.values import Amount, EventTime, Number, Price

MAX_EVENTS = 1000
MAX_EXTRA_BYTES = 8 * 1024
"""Of `context` and `metadata` of one event together, as JSON."""


class EventBody(Body):
    """One event. `recommendations_shown` is an impression and may leave `item_id` out.

    An event with a `session_id` alone is a visitor's, of whom no more is known: it counts in the answers of the visit.
    """

    user_id: NewId | None = Field(default=None, description="Who; may be left out where there is a `session_id`.")
    item_id: NewId | None = None
    interaction_type: Text = Field(description="One of ours, a name your tenant maps onto ours, or an impression.")
    timestamp: EventTime = Field(default=None, description="ISO 8601 or epoch; now when left out.")
    rating: Number = None
    quantity: Number = Field(default=None, description="Pieces; below 0 a purchase or a cart gives some back.")
    price: Price = None
    duration_seconds: Amount = None
    event_id: OptionalId = Field(default=None, description="Your id of the event: the same one again changes nothing.")
    session_id: OptionalId = None
    recommendation_id: Annotated[PlainText, Field(max_length=64)] | None = None
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")
    context: JsonObject = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_size(self) -> EventBody:
        check_size(MAX_EXTRA_BYTES, context=self.context, metadata=self.metadata)
        return self


class EventBatch(Body):
    """Up to 1,000 events, stored all or none."""

    events: Annotated[tuple[EventBody, ...], Field(min_length=1, max_length=MAX_EVENTS)]
    tenant_id: Text | None = None


class TrackRequest(RootModel[EventBatch | tuple[EventBody, ...] | EventBody]):
    """One event, a list of events, or `{"events": [...]}`."""

    @model_validator(mode="wrap")
    @classmethod
    def _one_or_many(cls, value: Any, handler: Any) -> Any:
        # Decided by the shape, so that the errors are those of one of the three and not of all.
        if isinstance(value, list):
            return cls.model_construct(EventBatch.model_validate({"events": value}))
        if isinstance(value, dict):
            kind = EventBatch if "events" in value else EventBody
            return cls.model_construct(kind.model_validate(value))
        return handler(value)


class EachRequest(Body):
    """Events that stand each for itself; what they are is looked at one by one."""

    events: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_EVENTS)]
    tenant_id: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        if isinstance(value, list):
            return {"events": value}
        return value if not isinstance(value, dict) or "events" in value else {"events": [value]}


def _is_false(value: object) -> bool:
    return not value


class NextActions(Answer):
    """What the event means for the answers. `incremental_update`: the user's next answer takes it into account."""

    retrain_recommended: bool
    incremental_update: bool


class TrackAnswer(Answer):
    """One event is stored. `duplicate`: it was before, and nothing changed.

    The status is `ignored`, and nothing is stored, when the tenant's settings map the type onto `ignore`.
    """

    status: str = "tracked"
    interaction_id: str
    duplicate: bool
    processed_at: datetime
    next_actions: NextActions


class TrackedEvent(Answer):
    """One event of a batch; `ignored` as in `TrackAnswer`, and only there when it is true."""

    interaction_id: str
    duplicate: bool
    ignored: bool = Field(default=False, exclude_if=_is_false)


class TrackBatchAnswer(Answer):
    """All events of a batch are stored, but those that are `ignored`."""

    status: str = "tracked"
    tracked: int
    duplicates: int
    ignored: int = Field(default=0, exclude_if=_is_false)
    events: tuple[TrackedEvent, ...]
    processed_at: datetime
    next_actions: NextActions


class EachEvent(Answer):
    """What became of one event; `status` is what it would have been answered with alone, and then its `error`."""

    status: int
    interaction_id: str | None = None
    duplicate: bool | None = None
    ignored: bool = Field(default=False, exclude_if=_is_false)
    error: ErrorInfo | None = None


class TrackEachAnswer(Answer):
    """The good events are stored. `events` has one result for each event of the request, in their order."""

    status: Literal["tracked", "partial", "rejected"]
    tracked: int
    duplicates: int
    ignored: int = Field(default=0, exclude_if=_is_false)
    rejected: int
    events: tuple[EachEvent, ...]
    processed_at: datetime


class EventsChecked(Answer):
    """The events are right, and nothing was stored."""

    status: Literal["valid"] = "valid"
    events: int
    processed_at: datetime
