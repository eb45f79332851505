"""Prometheus metrics of the service. No label can take more than a bounded number of values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from resources.jobs.kinds.uploads import UploadJobStatus
from resources.jobs.model import JobStatus
from resources.uploads.contract.report import UploadReport

MAX_TENANT_LABELS = 1000
_OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_JOB_BUCKETS = (1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)


def known_method(method: str) -> str:
    """Return the method, or `other` for one that somebody made up."""
    return method if method in _METHODS else _OTHER


class Metrics:
    """Counters and histograms, each in the registry of this object.

    `multiprocess` says that several workers share one folder of values, as those of `bento_service.serve` do: then the
    exposition adds up all of them, whichever worker is asked.
    """

    def __init__(self, *, multiprocess: bool = False) -> None:
        self._multiprocess = multiprocess
        self._registry = CollectorRegistry()
        self._tenants: set[str] = set()
        self._requests: dict[tuple[str, str, int, str | None], tuple[Histogram, Counter | None]] = {}
        self._fallback_counts: dict[tuple[str, str], Counter] = {}
        counter, histogram = partial(Counter, registry=self._registry), partial(Histogram, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry, multiprocess_mode="livesum")
        self._duration = histogram(
            "recsaas_http_request_duration_seconds",
            "Time from the request to the end of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
        )
        by_tenant = ("tenant", "route", "status")
        self._tenant_requests = counter(
            "recsaas_tenant_requests_total", "Requests with a valid credential, by tenant.", by_tenant
        )
        self._fallbacks = counter(
            "recsaas_recommendation_fallbacks_total",
            "Answers that were not the model's, by reason.",
            ("tenant", "reason"),
        )
        cached = counter("recsaas_answer_cache_total", "Answers, by whether they were kept.", ("outcome",))
        self._answers = {outcome: cached.labels(outcome) for outcome in ("hit", "shared_hit", "miss")}
        self._store_errors = counter("recsaas_shared_store_errors_total", "Failed requests to Redis.")
        self._events = counter("recsaas_events_total", "Tracked events stored, by tenant.", ("tenant",))
        self._decisions = counter("recsaas_decisions_written_total", "Answers in the decision log.")
        self._decisions_lost = counter(
            "recsaas_decisions_lost_total", "Answers that could not be recorded in the decision log."
        )
        by_outcome = ("tenant", "kind", "outcome")
        self._upload_rows = counter("recsaas_upload_rows_total", "Rows of stored uploads.", by_outcome)
        self._upload_jobs = gauge(
            "recsaas_upload_jobs",
            "Large uploads that wait to be checked, or are being checked, of all tenants.",
            ("status",),
            multiprocess_mode="livemostrecent",
        )
        self._upload_job_seconds = histogram(
            "recsaas_upload_job_seconds",
            "Time that checking and storing one large upload took.",
            ("outcome",),
            buckets=_JOB_BUCKETS,
        )
        webhooks = counter("recsaas_webhook_tries_total", "Tries to deliver a webhook, by outcome.", ("outcome",))
        self._webhooks = {worked: webhooks.labels("delivered" if worked else "failed") for worked in (True, False)}
        self._loads = counter("recsaas_release_loads_total", "Attempts to load a release.", ("outcome",))
        self._loaded = gauge("recsaas_releases_loaded", "Releases in memory.")
        self._tenant_bytes = gauge(
            "recsaas_tenant_release_bytes",
            "Memory of the loaded releases, by tenant, files that are mapped into it included.",
            ("tenant",),
        )
        self._loaded_bytes = gauge("recsaas_releases_loaded_bytes", "Memory of the loaded releases.")

    def request(self, *, method: str, route: str, status: int, seconds: float, tenant: str | None) -> None:
        """Note one answered request; `route` is the template, never the path."""
        whose = self._label(tenant) if tenant is not None else None
        key = (known_method(method), route, status, whose)
        noted = self._requests.get(key)
        if noted is None:  # finding a child by its labels takes longer than counting
            duration = self._duration.labels(*key[:3])
            count = self._tenant_requests.labels(whose, route, status) if whose is not None else None
            noted = self._requests[key] = (duration, count)
        noted[0].observe(seconds)
        if noted[1] is not None:
            noted[1].inc()

    def fallback(self, tenant: str, reason: str) -> None:
        """Note an answer that was not the model's."""
        key = (self._label(tenant), reason)
        noted = self._fallback_counts.get(key)
        if noted is None:
            noted = self._fallback_counts[key] = self._fallbacks.labels(*key)
        noted.inc()

    def answer_cache(self, outcome: str) -> None:
        """Note an answer that was there (`hit`), that another worker had made (`shared_hit`), or that was not."""
        self._answers[outcome].inc()

    def shared_store_error(self) -> None:
        """Note that Redis did not answer."""
        self._store_errors.inc()

    def events(self, tenant: str, count: int) -> None:
        """Note stored events."""
        self._events.labels(self._label(tenant)).inc(count)

    def decisions_written(self, count: int) -> None:
        """Note answers that were recorded."""
        self._decisions.inc(count)

    def decisions_lost(self, count: int) -> None:
        """Note answers that could not be recorded."""
        self._decisions_lost.inc(count)

    def upload(self, tenant: str, report: UploadReport) -> None:
        """Note the rows of an upload that was stored just now."""
        rows = {"accepted": report.rows_accepted, "rejected": report.rows_rejected, "duplicate": report.rows_duplicate}
        for outcome, count in rows.items():
            self._upload_rows.labels(self._label(tenant), report.kind, outcome).inc(count)

    def upload_jobs(self, counts: Mapping[JobStatus, int]) -> None:
        """Note how many unfinished upload jobs there are now, by status."""
        self._upload_jobs.labels(UploadJobStatus.QUEUED.value).set(counts[JobStatus.QUEUED])
        self._upload_jobs.labels(UploadJobStatus.CHECKING.value).set(counts[JobStatus.RUNNING])

    def upload_job(self, *, outcome: str, seconds: float) -> None:
        """Note that an upload job is finished."""
        self._upload_job_seconds.labels(outcome).observe(seconds)

    def webhook(self, *, worked: bool) -> None:
        """Note a try to deliver a webhook."""
        self._webhooks[worked].inc()

    def release_bytes(self, tenant: str, *, added: int) -> None:
        """Note that the memory of a tenant's releases has grown, or shrunk when `added` is negative."""
        self._tenant_bytes.labels(self._label(tenant)).inc(added)

    def release_load(self, *, succeeded: bool) -> None:
        """Note that a release was loaded, or could not be."""
        self._loads.labels("success" if succeeded else "failure").inc()

    def releases(self, *, count: int, size: int) -> None:
        """Note what is in memory now; `size` in bytes."""
        self._loaded.set(count)
        self._loaded_bytes.set(size)

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        if not self._multiprocess:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _label(self, tenant: str) -> str:
        """Return the tenant, or `other` once there are too many to count one by one."""
        if tenant in self._tenants:
            return tenant
        if len(self._tenants) >= MAX_TENANT_LABELS:
            return _OTHER
        self._tenants.add(tenant)
        return tenant
