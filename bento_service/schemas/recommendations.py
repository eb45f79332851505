"""Bodies of the recommendation routes. Clients rely on the names of the fields (docs/api.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bento_service.schemas.common import (
    MAX_COUNT,
    Answer,
    Body,
    Id,
    JsonObject,
    OptionalId,
    Text,
    check_size,
    number_as_text,
)
from bento_service.schemas.values import Moment
from resources.base.ids import checked_id
from resources.ranker.eligibility.filters import Filters
from resources.ranker.query import Strategy
from resources.ranker.ranking import Fallback, ItemSource

_Texts = Annotated[tuple[Text, ...], Field(max_length=100)]
_Ids = Annotated[tuple[Id, ...], Field(max_length=1000)]
_Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
_Price = Annotated[float, Field(ge=0)]

MAX_CURSOR = 32_000
MAX_BASKET = 100
"""Items that a basket may name."""
MAX_OFFSET = 900
MAX_CONTEXT_BYTES = 8 * 1024


def _with_checked_item(context: dict[str, Any]) -> dict[str, Any]:
    check_size(MAX_CONTEXT_BYTES, context=context)
    item = number_as_text(context.get("current_item"))
    if item is None:
        return context
    if not isinstance(item, str):
        raise ValueError("current_item must be an id")
    return {**context, "current_item": checked_id(item)}


_Context = Annotated[JsonObject, AfterValidator(_with_checked_item)]

FallbackReason = Literal[Fallback, "last_good_release"]
"""The ranker's, and that the answer is from the release before the one that cannot be read (degraded)."""


class FilterBody(Body):
    """What the items of an answer must be; everything that is given must hold."""

    category: Text | None = None
    categories: _Texts = ()
    brand: Text | None = None
    tags: _Texts = Field(default=(), description="One of them is enough.")
    min_price: _Price | None = None
    max_price: _Price | None = None
    exclude_ids: _Ids = ()
    include_unavailable: bool = False

    @model_validator(mode="after")
    def _prices_are_ordered(self) -> FilterBody:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("min_price must not be above max_price")
        return self

    def filters(self) -> Filters:
        """Return the ranker's filters."""
        return Filters(
            category=self.category,
            categories=self.categories,
            brand=self.brand,
            tags=self.tags,
            min_price=self.min_price,
            max_price=self.max_price,
            exclude_ids=self.exclude_ids,
            include_unavailable=self.include_unavailable,
        )


class RecentEvent(Body):
    """Something that happened in this visit and was not tracked."""

    item_id: Id
    interaction_type: Text | None = None
    timestamp: Moment = None


class RecommendationRequest(Body):
    """Ask for recommendations. A new user is answered by their events, or by what is popular."""

    user_id: Id | None = None
    session_id: OptionalId = Field(
        default=None,
        description="The visit. What happened in it counts, also before it had this user_id.",
    )
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")
    count: _Count = 10
    filters: FilterBody = FilterBody()
    context: _Context = Field(
        default_factory=dict,
        description="`current_item` is left out of the answer, and tells the taste of a visitor without events; "
        "other names are accepted, and change nothing.",
    )
    scenario: Text | None = Field(default=None, description="Where the answer is shown: rules may hold only there.")
    recent_events: Annotated[tuple[RecentEvent, ...], Field(max_length=200)] = Field(
        default=(), description="Oldest first. Their items count as seen, and tell the taste of a new user."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="0: by score alone; 1: as unlike each other as can be."
    )
    max_per_category: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        default=None, description="The most items of one category."
    )
    strategy: Strategy = Field(
        default="personal",
        description="`personal`: what suits the user; `popular`: what most want; `trending`: what more want than "
        "before; `newest`: what came last. The last three do not depend on the user, but for what was seen.",
    )
    exclude_seen: bool | None = Field(
        default=None,
        description="Whether items that the user has had are left out. When it is not given, the shop's setting "
        "`serving.exclude_seen` decides: as measured by the last training, unless the shop says otherwise.",
    )
    explain: bool = Field(default=True, description="Whether each item comes with its reason.")
    cursor: Annotated[str, Field(max_length=MAX_CURSOR)] | None = Field(
        default=None, description="The `next_cursor` of the page before."
    )

    @property
    def current_item(self) -> str | None:
        """The item that the visitor looks at."""
        item: str | None = self.context.get("current_item")
        return item


class SimilarRequest(Body):
    """Ask for items like one item."""

    item_id: Id
    count: _Count = 10
    filters: FilterBody = FilterBody()
    user_id: Id | None = Field(default=None, description="What this user has seen is left out.")
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")


class BundleRequest(Body):
    """Ask for what goes with a basket."""

    item_ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_BASKET)] = Field(
        description="What is in the basket, in any order. Ids that nobody knows are passed over, and named."
    )
    count: _Count = 10
    filters: FilterBody = FilterBody()
    user_id: Id | None = Field(default=None, description="What this user does not like is left out.")
    session_id: OptionalId = Field(default=None, description="The visit, for the record of the answer.")
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")
    scenario: Text | None = Field(default=None, description="Where the answer is shown: rules may hold only there.")
    exclude_seen: bool = Field(default=False, description="Whether what the user has seen is left out too.")
    explain: bool = Field(default=True, description="Whether each item comes with its reason.")
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = Field(
        default=0, description="How many of the first items to leave out; ranks count on."
    )


class Freshness(Answer):
    """How new the knowledge behind the answer is."""

    events_until: datetime | None = Field(
        description="The newest event behind the answer, of the release or since; never later than the answer."
    )
    trained_at: datetime


class AnswerMetadata(Answer):
    """How an answer came about."""

    model_version: str
    release_version: str
    algorithm: str
    latency_ms: float
    cache_hit: bool = False
    degraded: bool
    fallback_reason: FallbackReason | None
    variant: str | None = None
    freshness: Freshness


class Recommendation(Answer):
    """One recommended item; `score` is 0–1 and does not rise with `rank`."""

    item_id: str
    title: str | None
    name: str | None
    category: str | None
    price: float | None
    image_url: str | None
    score: float
    rank: int
    source: ItemSource
    reason: str | None


class RecommendationAnswer(Answer):
    """Recommendations, best first."""

    recommendation_id: str
    recommendations: tuple[Recommendation, ...]
    metadata: AnswerMetadata
    next_cursor: str | None = None


class SimilarItem(Answer):
    """One item like the asked one."""

    item_id: str
    name: str | None
    title: str | None
    category: str | None
    price: float | None
    similarity_score: float


class SimilarAnswer(Answer):
    """Similar items, most similar first."""

    recommendation_id: str
    similar_items: tuple[SimilarItem, ...]
    metadata: AnswerMetadata


class BundleAnswer(Answer):
    """What goes with a basket, best first; the ids of the basket that neither the release nor a change since knows."""

    recommendation_id: str
    recommendations: tuple[Recommendation, ...]
    unknown_item_ids: tuple[str, ...]
    metadata: AnswerMetadata
