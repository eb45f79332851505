"""The parts of a running service: made once per process, reached from any request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from bento_service.access.key_cache import KeyCache
from bento_service.access.key_worker import KeyWorker
from bento_service.access.limits import Limits
from bento_service.access.member_tokens import MemberTokens
from bento_service.access.page_limit import VisitorLimit
from bento_service.access.page_origins import PageOrigins
from bento_service.access.plan_states import PlanStates
from bento_service.access.redis import SharedStore
from bento_service.access.session_cache import SessionCache
from bento_service.events.decision_log import DecisionLog
from bento_service.events.writer import EventWriter
from bento_service.http.client_address import ClientAddress, proxies_of
from bento_service.http.json_body import Bodies
from bento_service.recommending.answer_cache import AnswerCache, SharedAnswers
from bento_service.recommending.answering import Answering
from bento_service.recommending.contexts import ServingContexts
from bento_service.recommending.kept_answers import KeptAnswers
from bento_service.recommending.release_cache import ReleaseCache
from bento_service.recommending.settings_cache import SettingsCache
from bento_service.recommending.tenant_states import TenantStates
from bento_service.scheduling.threads import Threads
from bento_service.scheduling.turns import Turns
from bento_service.scheduling.upload_slots import UploadSlots
from bento_service.sso.provider import OpenIdProvider, provider_of
from bento_service.telemetry.metrics import Metrics
from bento_service.usage.billing_hook import BillingHook
from bento_service.usage.keeper import UsageKeeper
from bento_service.usage.metering import Metering
from bento_service.webhooks.sender import WebhookSender
from bento_service.workers.job_worker import JobWorker, RunJob
from bento_service.workers.mail_worker import MailWorker
from bento_service.workers.service_jobs import service_worker
from resources.base.errors import Forbidden
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.billing.prices import PriceList, read_prices
from resources.catalogue.items import ItemCatalogue
from resources.control_db.engine import ControlDb
from resources.decisions.store import open_decisions
from resources.events.log import EventLog
from resources.events.recent import open_recent_events
from resources.sessions.signing_keys import SigningKeys
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that handlers work with.

    Attributes:
        event_writer: appends to the event log.
        releases: those that answers are made from, for what shows their items or their state.
        sessions: who is logged in with a browser.
        provider: whom people log in by (SSO); None without one.
        contexts: what answers are made from, for a handler that asks the ranker something else.
        usage_keeper: samples, statements and the roll-up of usage, once an hour.
        prices: `None` without a price list.
        plans: what the plans of tenants allow, and what is used of it.
        usage: counts what requests use, and knows what tenants have used.
        shared: the store that all workers share; `None` without one.
    """

    settings: Settings
    db: ControlDb
    lake: Lake
    clock: Clock
    event_writer: EventWriter
    keys: KeyCache
    key_worker: KeyWorker
    page_limit: VisitorLimit
    page_origins: PageOrigins
    sessions: SessionCache
    provider: OpenIdProvider | None
    members: MemberTokens
    signing_keys: SigningKeys
    tenant_settings: SettingsCache
    releases: ReleaseCache
    contexts: ServingContexts
    answering: Answering
    decisions: DecisionLog
    items: ItemCatalogue
    limits: Limits
    plans: PlanStates
    bodies: Bodies
    addresses: ClientAddress
    threads: Threads
    turns: Turns
    shared: SharedStore | None
    metrics: Metrics
    usage: Metering
    usage_keeper: UsageKeeper
    prices: PriceList | None
    upload_slots: UploadSlots
    job_worker: JobWorker
    webhooks: WebhookSender
    mail_worker: MailWorker

    def store(self, tenant: TenantId) -> TenantStore:
        """Return the stored data of one tenant."""
        return TenantStore(self.lake, self.db, tenant)

    def require_writable_lake(self) -> None:
        """Refuse what changes the lake where it is only read.

        Raises:
            Forbidden: this service only answers from releases that were made elsewhere.
        """
        if self.settings.lake_read_only:
            raise Forbidden(
                "This service only answers from releases that were made elsewhere. Send files, and ask for exports and "
                "erasures, where they are made."
            )


def make_services(
    settings: Settings, db: ControlDb, lake: Lake, clock: Clock, metrics: Metrics, run_export: RunJob | None
) -> Services:
    """Make the parts of one process, which share its threads and caches."""
    threads = Threads()
    signing_keys = SigningKeys(db, days=settings.signing_key_days)
    shared = _shared_store(settings, metrics)
    tenant_settings = SettingsCache(db, threads.keys)
    releases = ReleaseCache(
        lake, metrics, max_bytes=settings.release_cache_bytes, check_seconds=settings.pointer_check_seconds
    )
    contexts = ServingContexts(releases, TenantStates(db, threads.keys), open_recent_events(db), threads.keys, clock)
    answers = KeptAnswers(
        AnswerCache(metrics, max_bytes=settings.answer_cache_bytes),
        SharedAnswers(shared, metrics) if shared is not None else None,
        metrics,
        threads.ranking,
    )
    decisions = DecisionLog(
        open_decisions(settings.decisions_url), metrics, clock, keep_days=settings.decision_days, lane=threads.reads
    )
    prices = read_prices(settings.prices)
    usage = Metering(db, clock, settings.home / "usage")
    return Services(
        settings=settings,
        db=db,
        lake=lake,
        clock=clock,
        event_writer=EventWriter(EventLog(db)),
        sessions=SessionCache(db, threads.keys, clock),
        provider=provider_of(settings, clock),
        members=MemberTokens(db, threads.keys, signing_keys, clock),
        signing_keys=signing_keys,
        keys=KeyCache(db, threads.keys, now=clock),
        key_worker=KeyWorker(db, clock),
        page_limit=VisitorLimit(settings.page_rate_limit),
        page_origins=PageOrigins(db, threads.keys, clock),
        tenant_settings=tenant_settings,
        releases=releases,
        contexts=contexts,
        answering=Answering(contexts, answers, decisions, tenant_settings, lake, metrics, usage.counters),
        decisions=decisions,
        items=ItemCatalogue(lake, db),
        limits=Limits.of(settings, shared),
        plans=PlanStates(db, threads, usage, clock, shared),
        bodies=Bodies(timeout=settings.request_timeout_seconds, most_bytes=settings.max_body_bytes_in_flight),
        addresses=ClientAddress(proxies_of(settings.trusted_proxies)),
        threads=threads,
        turns=Turns(),
        shared=shared,
        metrics=metrics,
        usage=usage,
        usage_keeper=UsageKeeper(db, lake, clock, prices, BillingHook.of(settings, clock)),
        prices=prices,
        upload_slots=UploadSlots(),
        job_worker=service_worker(settings, lake, db, clock, metrics, run_export=run_export),
        webhooks=WebhookSender(settings, db, clock, metrics),
        mail_worker=MailWorker(settings, db, clock),
    )


def _shared_store(settings: Settings, metrics: Metrics) -> SharedStore | None:
    if not settings.redis_url:
        return None
    return SharedStore(settings.redis_url, metrics, installation=f"{settings.database_url} {settings.lake_url}")


async def services_of(request: Request) -> Services:
    """Return the services of the app that answers this request."""
    services: Services = request.app.state.services
    return services


WithServices = Annotated[Services, Depends(services_of)]
