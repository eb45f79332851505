"""The one way to an answer of the service: for HTTP routes, batches and BentoML's own endpoints.

Context (live release, items, rules and events since) → query → kept or new ranking → decision → answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import perf_counter

from bento_service.events.decision_log import DecisionLog
from bento_service.recommending.answer_cache import KeptAnswer
from bento_service.recommending.answer_json import AnswerWriter, text
from bento_service.recommending.contexts import ServingContexts
from bento_service.recommending.kept_answers import AnswerKey, KeptAnswers
from bento_service.recommending.page import Page, page_of
from bento_service.recommending.queries import bundle_query, ranking_query, similar_query
from bento_service.recommending.recent_events import VisitInteractions, visit_interactions
from bento_service.recommending.settings_cache import SettingsCache
from bento_service.schemas.recommendations import BundleRequest, FallbackReason, RecommendationRequest, SimilarRequest
from bento_service.telemetry.metrics import Metrics
from bento_service.usage.counters import UsageCounters
from resources.base.tenant import TenantId
from resources.decisions.decision import Decision, DecisionKind, new_recommendation_id, shown_items
from resources.ranker.ranking import Ranking
from resources.recommendations.context import ServingContext, Visitor
from resources.release.load import LoadedRelease
from resources.storage.lake import Lake


@dataclass(frozen=True, slots=True)
class Caller:
    """The credential that asks; `started` is what `perf_counter` said when the request came in.

    What a `sandbox` is answered is recorded as such, and counts nowhere.
    """

    tenant: TenantId
    key_id: str
    request_id: str
    started: float
    sandbox: bool = False


class Answering:
    """Answers for every tenant of a service, as JSON that is ready to be sent. Belongs to the event loop.

    Args:
        lake: where pages look up the release of the page before.
    """

    def __init__(
        self,
        contexts: ServingContexts,
        answers: KeptAnswers,
        decisions: DecisionLog,
        settings: SettingsCache,
        lake: Lake,
        metrics: Metrics,
        usage: UsageCounters,
    ) -> None:
        self._contexts = contexts
        self._answers = answers
        self._decisions = decisions
        self._settings = settings
        self._lake = lake
        self._metrics = metrics
        self._usage = usage
        self._writer = AnswerWriter()

    async def recommend(self, caller: Caller, request: RecommendationRequest) -> bytes:
        """Recommend items; the caller's credential and `tenant_id` were checked before.

        Raises:
            NotReady, CorruptRelease: there is no release to answer from.
            InvalidInput: the cursor is not one that can be followed.
        """
        visitor = Visitor(caller.tenant, request.user_id, request.session_id)
        context = await self._contexts.get(visitor, request.scenario)
        release = context.release
        page = await page_of(request, caller.tenant, release, self._lake)
        visit = await self._visit(caller.tenant, request) if request.recent_events else None
        query = context.personalised(ranking_query(request, page, visit), current_item=request.current_item)
        kept, cached = await self._answers.get(
            context,
            AnswerKey(context.key, query, page.place),
            partial(context.recommend, query),
            partial(self._finished_page, page, release),
        )
        cursor = kept.cursor
        if kept.more and kept.page_key != page.key:  # it was made for another visitor who did nothing either
            cursor = page.next_cursor(release, kept.ranking)
        answer_id = await self._record("recommend", caller, context, kept.ranking, offset=len(page.shown))
        body = (
            f'{{"recommendation_id":"{answer_id}","recommendations":{kept.items},'
            f'"metadata":{self._metadata(caller, context, kept.ranking, cached)},"next_cursor":{text(cursor)}}}'
        )
        return body.encode()

    async def similar(self, caller: Caller, request: SimilarRequest) -> bytes:
        """Find items like one item; what the user, if one is named, has seen already is left out.

        Raises:
            NotReady, CorruptRelease: there is no release to answer from.
            ItemNotFound: the tenant has no such item.
        """
        context = await self._contexts.get(Visitor(caller.tenant, request.user_id))
        query = context.without_seen(similar_query(request))
        kept, cached = await self._answers.get(
            context, AnswerKey(context.key, query), partial(context.similar, query), self._finished_similar
        )
        answer_id = await self._record("similar", caller, context, kept.ranking)
        body = (
            f'{{"recommendation_id":"{answer_id}","similar_items":{kept.items},'
            f'"metadata":{self._metadata(caller, context, kept.ranking, cached)}}}'
        )
        return body.encode()

    async def bundle(self, caller: Caller, request: BundleRequest) -> bytes:
        """Find what goes with a basket; what the user, if one is named, does not like is left out.

        Raises:
            NotReady, CorruptRelease: there is no release to answer from.
            ItemNotFound: the tenant has none of the items.
        """
        visitor = Visitor(caller.tenant, request.user_id, request.session_id)
        context = await self._contexts.get(visitor, request.scenario)
        query = context.bundled(bundle_query(request), exclude_seen=request.exclude_seen)
        kept, cached = await self._answers.get(
            context, AnswerKey(context.key, query), partial(context.bundle, query), self._finished
        )
        answer_id = await self._record("bundle", caller, context, kept.ranking, offset=request.offset)
        unknown = ",".join(map(text, context.unknown(query)))
        body = (
            f'{{"recommendation_id":"{answer_id}","recommendations":{kept.items},"unknown_item_ids":[{unknown}],'
            f'"metadata":{self._metadata(caller, context, kept.ranking, cached)}}}'
        )
        return body.encode()

    async def _visit(self, tenant: TenantId, request: RecommendationRequest) -> VisitInteractions:
        return await self._settings.apply(tenant, partial(visit_interactions, request.recent_events))

    def _finished_page(self, page: Page, release: LoadedRelease, ranking: Ranking) -> KeptAnswer:
        ranking, more = page.cut(ranking)
        cursor = page.next_cursor(release, ranking) if more else None
        return KeptAnswer(ranking, self._writer.recommended(ranking.items), more, page.key, cursor)

    def _finished(self, ranking: Ranking) -> KeptAnswer:
        return KeptAnswer(ranking, self._writer.recommended(ranking.items))

    def _finished_similar(self, ranking: Ranking) -> KeptAnswer:
        return KeptAnswer(ranking, self._writer.similar(ranking.items))

    async def _record(
        self, kind: DecisionKind, caller: Caller, context: ServingContext, ranking: Ranking, *, offset: int = 0
    ) -> str:
        """Hand the answer over to the decision log, and return its id."""
        watermark = context.release.manifest.event_watermark
        decision = Decision(
            recommendation_id=new_recommendation_id(context.at),
            tenant=caller.tenant,
            at=context.at,
            release_version=context.release.version,
            algorithm=ranking.algorithm,
            items=shown_items(ranking.items),
            request_id=caller.request_id,
            kind="sandbox" if caller.sandbox else kind,
            user_id=context.visitor.user_id,
            session_id=context.visitor.session_id,
            scenario=context.scenario,
            fallback_reason=_fallback_reason(context, ranking),
            degraded=ranking.degraded or context.problem is not None,
            rules=context.rule_ids,
            event_watermark=watermark,
            events_seen=max(watermark, context.interactions.newest),
            state_version=context.state.version,
            offset=offset,
        )
        await self._decisions.record(decision)
        self._usage.recommended(caller.tenant, caller.key_id, kind, len(decision.items))
        return decision.recommendation_id

    def _metadata(self, caller: Caller, context: ServingContext, ranking: Ranking, cached: bool) -> str:
        reason = _fallback_reason(context, ranking)
        if reason is not None:
            self._metrics.fallback(caller.tenant.value, reason)
        took = (perf_counter() - caller.started) * 1000
        return self._writer.metadata(context, ranking, latency_ms=took, cache_hit=cached, fallback_reason=reason)


def _fallback_reason(context: ServingContext, ranking: Ranking) -> FallbackReason | None:
    return "last_good_release" if context.problem is not None else ranking.fallback_reason
