"""The BentoML service: wiring and lifecycle only. `python -m bento_service.serve` starts it, and `bentoml serve` can.

Under BentoML this module is the process's entry point, so it does at import what BentoML wants to know then (how many
workers), and what our other entry points begin with.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import bentoml
from bentoml._internal.context import server_context
from starlette.responses import Response
from starlette.types import ASGIApp

from bento_service.api.site.health import control_db_answers
from bento_service.bentoml_adapter.adapter import (
    MountedApp,
    NoTimeout,
    StraightToApp,
    forget_tracking,
    forwarded,
    guard_connections,
)
from bento_service.bentoml_adapter.endpoints import RecommendInput, SimilarInput
from bento_service.dependencies import Services
from bento_service.http.multipart import remove_stale_files
from bento_service.schemas.recommendations import RecommendationAnswer, SimilarAnswer
from bento_service.telemetry.logs import configure_logging
from resources.base.settings import Settings, load_settings
from resources.control_db.engine import SERVICE_SECONDS, ControlDb, open_control_db
from resources.processes.process import begin_process
from resources.recommendations.packaged import Package, packaged_settings
from resources.storage.lake import Lake

begin_process()
forget_tracking()
# Python's lock goes from a thread that computes to the event loop after this time at the latest. By default it is 5 ms,
# and an answer asks for it several times.
_SWITCH_SECONDS = 0.0005
_package = Package.beside_sources()
_settings = packaged_settings(load_settings(), _package)
_mounted = MountedApp()
guard_connections(_settings)


@bentoml.service(
    name="recsaas",
    workers=_settings.service_workers,
    traffic={"timeout": NoTimeout(3600)},
    # BentoML's metrics label every path, user ids included, so that they grow without end; ours are bounded.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    # BentoML traces every request, for 0.13 ms also when the SDK is disabled, unless its address is excluded.
    tracing={} if _settings.tracing else {"excluded_urls": ".*"},
    envs=[
        {"name": "OTEL_SDK_DISABLED", "value": str(not _settings.tracing).lower()},
        # uvicorn would believe an X-Forwarded-For of every program on this machine; `client_address.py` reads it.
        {"name": "FORWARDED_ALLOW_IPS", "value": "nobody"},
    ],
)
@bentoml.asgi_app(_mounted, path="/")
class RecsaasService:
    """One worker: its settings, its control DB, its lake and the app over them."""

    def __init__(self) -> None:
        self._settings: Settings = _settings
        self._db: ControlDb | None = None
        self._services: Services | None = None
        self._watch: asyncio.Task[None] | None = None

    # BentoML's adaptive batching is left off: see docs/bento.md for what it costs here.
    @bentoml.api(input_spec=RecommendInput, output_spec=RecommendationAnswer)  # type: ignore[untyped-decorator]
    async def recommend(self, ctx: bentoml.Context, **_described: Any) -> Response:
        """Recommend items: what `POST /api/v1/recommendations` answers."""
        return await self._forwarded(ctx, "/api/v1/recommendations")

    @bentoml.api(input_spec=SimilarInput, output_spec=SimilarAnswer)  # type: ignore[untyped-decorator]
    async def similar(self, ctx: bentoml.Context, **_described: Any) -> Response:
        """Find similar items: what `POST /api/v1/recommendations/similar` answers."""
        return await self._forwarded(ctx, "/api/v1/recommendations/similar")

    async def _forwarded(self, ctx: bentoml.Context, path: str) -> Response:
        answer = await forwarded(_mounted, ctx.request, path)
        ctx.response.status_code = answer.status_code  # BentoML puts this one in place of the answer's
        return answer

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Open what the app works with. An error here stops the process, with its message in the log."""
        import_parts()
        from bento_service.app import create_app
        from bento_service.telemetry.metrics import Metrics
        from resources.recommendations.export_process import export_in_child
        from resources.uploads.store_in_child import children

        configure_logging(self._settings.log_level)
        remove_stale_files(self._settings.home / "incoming")
        open_control_db(self._settings.database_url).close()  # migrated, however long another process works at it
        self._db = open_control_db(self._settings.database_url, migrate=False, busy_seconds=SERVICE_SECONDS)
        if _package is not None:
            _package.hand_over(self._settings, self._db)
        lake = Lake.open(
            self._settings.lake_url, scratch=self._settings.scratch, s3_endpoint=self._settings.s3_endpoint
        )
        metrics = Metrics(multiprocess=True)
        app = create_app(
            self._settings,
            self._db,
            lake,
            lambda: datetime.now(UTC),
            metrics=metrics,
            run_export=export_in_child,
        )
        _mounted.start(app)
        services: Services = app.state.services
        self._services = services
        if not self._settings.lake_read_only:
            children().start()  # the first upload is not to wait for it
            services.job_worker.start()
            services.webhooks.start()
            services.mail_worker.start()
        services.key_worker.start()
        services.usage.start()
        services.usage_keeper.start()
        self._watch = asyncio.get_running_loop().create_task(services.releases.watch())
        _collect_rarely()
        sys.setswitchinterval(_SWITCH_SECONDS)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Give back the work in progress and the connections, and write down what is only in memory.

        The server has answered the requests in flight by now, and takes no new ones.
        """
        from resources.uploads.store_in_child import children

        if self._watch is not None:
            self._watch.cancel()
        if self._services is not None:
            await asyncio.to_thread(self._services.key_worker.stop)
            await asyncio.to_thread(self._services.decisions.close)
            await asyncio.to_thread(self._services.usage_keeper.stop)
            await asyncio.to_thread(self._services.usage.stop)
            if not self._settings.lake_read_only:
                await asyncio.to_thread(self._services.webhooks.stop)
                await asyncio.to_thread(self._services.job_worker.stop)
                await asyncio.to_thread(self._services.mail_worker.stop)
                await asyncio.to_thread(children().stop)  # workers that were forked call nothing at their exit
            self._services.contexts.close()
            if self._services.shared is not None:
                await self._services.shared.close()
        if self._db is not None:
            self._db.close()

    def __is_ready__(self) -> bool:
        """Tell `/readyz` whether requests can be answered: credentials are in the control DB."""
        return self._db is not None and control_db_answers(self._db)


def import_parts() -> None:
    """Import what only workers use, faiss and LightGBM too: a tenant's first request shall not wait a second for them.

    To be called once the folder that the workers share their metrics in has a name: Prometheus looks for it then.
    """
    import faiss  # noqa: F401

    with suppress(ImportError, OSError):  # without it, releases with a second stage say so
        import lightgbm  # noqa: F401

    for module in (
        "bento_service.app",
        "resources.recommendations.export_process",
        # What BentoML and anyio import when a worker begins.
        "_bentoml_impl.client.proxy2",
        "anyio._backends._asyncio",
    ):
        import_module(module)


def _collect_rarely() -> None:
    """Leave what was imported out of the garbage collection, and collect rarely.

    A full collection looks at half a million objects of modules that stay for ever; by default an answer in thirty
    waits for some collection, which is 6 % of all processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def asgi_app() -> ASGIApp:
    """Return the app of a worker that `bento_service.serve` runs, with the names that BentoML exports traces under."""
    server_context.service_type = "entry_service"
    server_context.service_name = server_context.bento_name = "recsaas"
    app: ASGIApp = RecsaasService.to_asgi()  # type: ignore[attr-defined]
    return app


RecsaasService.add_asgi_middleware(StraightToApp, mounted=_mounted)  # type: ignore[attr-defined]
