"""The one way to an answer, whoever asks: HTTP routes, batches and BentoML's own endpoints.

Live release → the tenant's items and rules → what the user did since → ranking → decision → answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request

from bento_service.dependencies import Services
from bento_service.recommending.answer_cache import AnswerCache, KeptAnswer, SharedAnswers
from bento_service.recommending.answer_json import AnswerWriter, text
from bento_service.recommending.page import page_of
from bento_service.recommending.recent_events import recent_touches
from bento_service.recommending.release_cache import LiveRelease
from bento_service.recommending.tenant_states import TenantStates
from bento_service.schemas.recommendations import FallbackReason, RecommendationRequest, SimilarRequest
from resources.base.tenant import TenantId
from resources.decisions.decision import Decision, DecisionKind, new_recommendation_id, shown_items
from resources.events.recent import Latest, Touches
from resources.ranker.eligibility.filters import Filters
from resources.ranker.fold_in import event_weight
from resources.ranker.ranking import Ranking
from resources.recommendations.tenant_state import TenantState
from resources.release.load import LoadedRelease

INLINE_ITEMS = 50_000
"""Up to this many items an answer is ranked on the event loop: handing it to a thread costs more than ranking it."""
_NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and since when: `started` is what `perf_counter` said when the request came in."""

    tenant: TenantId
    key_id: str
    request_id: str
    started: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What an answer is made from: the release, what the tenant changed since, what the user did since."""

    tenant: TenantId
    live: LiveRelease
    state: TenantState
    touches: Touches

    @property
    def release(self) -> LoadedRelease:
        """The release that answers."""
        return self.live.ranker.release


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: `body` is its JSON, ready to be sent; `ranking` what it shows."""

    recommendation_id: str
    body: bytes
    ranking: Ranking
    release_version: str
    cache_hit: bool
    next_cursor: str | None = None


class Answering:
    """Answers for every tenant of a service. Belongs to the event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._states = TenantStates(services.db, services.threads.keys)
        self._writer = AnswerWriter()
        self._cache = AnswerCache(services.metrics, max_bytes=services.settings.answer_cache_bytes)
        self._shared = SharedAnswers(services.shared, services.metrics) if services.shared is not None else None

    async def standing(self, tenant: TenantId, user_id: str | None, session_id: str | None = None) -> Standing:
        """Return what an answer for this user or visit is made from, with all that was acknowledged before the call.

        A user whom the release knows counts with the events after it and with what the visit did before it was theirs;
        anybody else with all events that are theirs or the visit's.

        Raises:
            NotReady, CorruptRelease: there is no release to answer from.
        """
        live = await self._services.releases.get(tenant)
        release = live.ranker.release
        if self._services.reads.blocking:
            version, touches = await self._services.threads.keys.run(
                tenant.value, self._latest, tenant, release, user_id, session_id
            )
        else:
            version, touches = self._latest(tenant, release, user_id, session_id)
        return Standing(tenant, live, await self._states.get(tenant, release, version), touches)

    async def recommend(self, caller: Caller, asked: RecommendationRequest) -> Answered:
        """Recommend items; the caller's credential and `tenant_id` were checked before.

        Raises:
            NotReady, CorruptRelease: there is no release to answer from.
            InvalidInput: the cursor is not one that can be followed.
        """
        standing = await self.standing(caller.tenant, asked.user_id, asked.session_id)
        release, touches = standing.release, standing.touches
        page = await page_of(asked, caller.tenant, release, self._services.lake)
        known = asked.user_id is not None and asked.user_id in release.user_rows
        current = asked.current_item
        items: tuple[str, ...] = touches.items
        types: tuple[str | None, ...] = touches.types
        if asked.recent_events:
            settings = self._services.tenant_settings
            recent = await settings.apply(caller.tenant, partial(recent_touches, asked.recent_events))
            items, types = (*items, *recent.items), (*types, *recent.types)
        if current is not None and not known and not items:
            items, types = (current,), (None,)
        filters = page.filters(_filters(asked, current))
        # Whoever the release does not know and who did nothing is anybody: one answer for all of them.
        who = asked.user_id if known or items else None
        question = (
            "recommend",
            who,
            page.fetched,
            filters,
            asked.exclude_seen,
            items,
            types,
            asked.explain,
            asked.diversity,
            asked.max_per_category,
            page.ceiling,
            len(page.shown),
            page.again,
        )

        def rank() -> Ranking:
            return standing.live.ranker.recommend(
                who,
                page.fetched,
                filters=filters,
                exclude_seen=asked.exclude_seen,
                live_items=items,
                live_weights=[event_weight(kind) for kind in types] if types else None,
                explain=asked.explain,
                diversity=asked.diversity,
                max_per_category=asked.max_per_category,
                overlay=standing.state.overlay,
                rules=standing.state.rules_for(asked.scenario, now, release.catalogue),
            )

        def finish(ranking: Ranking) -> KeptAnswer:
            ranking, more = page.cut(ranking)
            cursor = page.next_cursor(release, ranking) if more else None
            return KeptAnswer(ranking, self._writer.recommended(ranking.items), more, page.key, cursor)

        now = self._services.clock()
        rules = standing.state.active(asked.scenario, now)
        kept, cached = await self._kept(
            standing, rules, question, rank, finish, heavy=asked.max_per_category is not None
        )
        cursor = kept.cursor
        if kept.more and kept.page_key != page.key:  # it was made for another visitor who did nothing either
            cursor = page.next_cursor(release, kept.ranking)
        answer_id = new_recommendation_id(now)
        await self._services.decisions.record(
            _decision(
                answer_id,
                caller,
                standing,
                kept.ranking,
                kind="recommend",
                at=now,
                rules=rules,
                user_id=asked.user_id,
                session_id=asked.session_id,
                scenario=asked.scenario,
                offset=len(page.shown),
            )
        )
        body = (
            f'{{"recommendation_id":"{answer_id}","recommendations":{kept.items},'
            f'"metadata":{self._metadata(caller, standing, kept.ranking, cached)},"next_cursor":{text(cursor)}}}'
        )
        return Answered(answer_id, body.encode(), kept.ranking, release.version, cached, cursor)

    async def similar(self, caller: Caller, asked: SimilarRequest) -> Answered:
        """Find items like one item; what the user, if one is named, has seen already is left out.

        Raises:
            NotReady, CorruptRelease: there is no release to answer from.
            ItemNotFound: the tenant has no such item.
        """
        standing = await self.standing(caller.tenant, asked.user_id)
        release = standing.release
        filters = unseen = asked.filters.filters() if asked.filters.model_fields_set else _NO_FILTERS
        if asked.user_id is not None:
            rows = (release.history(asked.user_id), release.disliked_items(release.user_rows.get(asked.user_id)))
            seen = (*(each for part in rows for each in release.catalogue.item_ids(part)), *standing.touches.items)
            unseen = replace(filters, exclude_ids=(*filters.exclude_ids, *seen))
        now = self._services.clock()

        def ranked(within: Filters) -> Ranking:
            return standing.live.ranker.similar(
                asked.item_id,
                asked.count,
                filters=within,
                explain=False,
                overlay=standing.state.overlay,
                rules=standing.state.rules_for(None, now, release.catalogue),
            )

        def rank() -> Ranking:
            ranking = ranked(unseen)
            if ranking.items or unseen is filters:
                return ranking
            again = ranked(filters)
            return replace(again, degraded=True, fallback_reason="all_seen") if again.items else again

        def finish(ranking: Ranking) -> KeptAnswer:
            return KeptAnswer(ranking, self._writer.similar(ranking.items))

        rules = standing.state.active(None, now)
        question = ("similar", asked.item_id, asked.count, filters, unseen)
        kept, cached = await self._kept(standing, rules, question, rank, finish)
        answer_id = new_recommendation_id(now)
        await self._services.decisions.record(
            _decision(
                answer_id, caller, standing, kept.ranking, kind="similar", at=now, rules=rules, user_id=asked.user_id
            )
        )
        body = (
            f'{{"recommendation_id":"{answer_id}","similar_items":{kept.items},'
            f'"metadata":{self._metadata(caller, standing, kept.ranking, cached)}}}'
        )
        return Answered(answer_id, body.encode(), kept.ranking, release.version, cached)

    def _latest(self, tenant: TenantId, release: LoadedRelease, user_id: str | None, session_id: str | None) -> Latest:
        reads = self._services.reads
        known = user_id is not None and user_id in release.user_rows
        after = release.manifest.event_watermark if known else 0
        if session_id is not None:
            return reads.of_visitor(tenant, user_id, session_id, after=after)
        return reads.of_user(tenant, user_id, after=after)

    async def _kept(
        self,
        standing: Standing,
        rules: tuple[str, ...],
        question: Hashable,
        rank: Callable[[], Ranking],
        finish: Callable[[Ranking], KeptAnswer],
        *,
        heavy: bool = False,
    ) -> tuple[KeptAnswer, bool]:
        """Return the answer to `question` as things stand, and whether it was there already.

        A `heavy` question is ranked in a thread, however small the catalogue is.
        """
        key = (standing.tenant.value, standing.release.version, standing.state.version, rules, question)
        kept = self._cache.get(key)
        if kept is not None:
            return kept, True
        if self._shared is not None:
            kept = await self._shared.get(key)
            if kept is not None:
                self._cache.put(key, kept)
                return kept, True
        self._services.metrics.answer_cache("miss")
        release = standing.release
        if release.catalogue.size <= INLINE_ITEMS and release.second_stage_items is None and not heavy:
            kept = finish(rank())
        else:
            kept = finish(await self._services.threads.ranking.run(standing.tenant.value, rank))
        self._cache.put(key, kept)
        if self._shared is not None:
            self._shared.put(key, kept)
        return kept, False

    def _metadata(self, caller: Caller, standing: Standing, ranking: Ranking, cached: bool) -> str:
        live = standing.live
        reason: FallbackReason | None = "last_good_release" if live.problem is not None else ranking.fallback_reason
        if reason is not None:
            self._services.metrics.fallback(caller.tenant.value, reason)
        took = (perf_counter() - caller.started) * 1000
        return self._writer.metadata(
            live,
            ranking,
            latency_ms=took,
            cache_hit=cached,
            fallback_reason=reason,
            newest_event=standing.touches.until,
        )


def _filters(asked: RecommendationRequest, current: str | None) -> Filters:
    filters = asked.filters.filters() if asked.filters.model_fields_set else _NO_FILTERS
    return filters if current is None else replace(filters, exclude_ids=(*filters.exclude_ids, current))


def _decision(
    answer_id: str,
    caller: Caller,
    standing: Standing,
    ranking: Ranking,
    *,
    kind: DecisionKind,
    at: datetime,
    rules: tuple[str, ...],
    user_id: str | None,
    session_id: str | None = None,
    scenario: str | None = None,
    offset: int = 0,
) -> Decision:
    watermark = standing.release.manifest.event_watermark
    return Decision(
        recommendation_id=answer_id,
        tenant=caller.tenant,
        at=at,
        release_version=standing.release.version,
        algorithm=ranking.algorithm,
        items=shown_items(ranking.items),
        request_id=caller.request_id,
        kind=kind,
        user_id=user_id,
        session_id=session_id,
        scenario=scenario,
        fallback_reason="last_good_release" if standing.live.problem is not None else ranking.fallback_reason,
        degraded=ranking.degraded or standing.live.problem is not None,
        rules=rules,
        event_watermark=watermark,
        events_seen=max(watermark, standing.touches.newest),
        state_version=standing.state.version,
        offset=offset,
    )


async def answering_of(request: Request) -> Answering:
    """Return what answers in the app of this request."""
    answering: Answering = request.app.state.answering
    return answering


WithAnswering = Annotated[Answering, Depends(answering_of)]
