"""The BentoML service: wiring and lifecycle only. `bentoml serve bento_service.service:RecsaasService` starts it.

This module is the process's entry point, so it does at import what BentoML wants to know then: how many workers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import bentoml

from bento_service.api.health import control_db_answers
from bento_service.bentoml_fit import MountedApp, NoTimeout
from bento_service.logs import configure_logging
from bento_service.upload_stream import remove_stale_files
from resources.control_db.engine import ControlDb, open_control_db
from resources.lake import Lake
from resources.settings import Settings, load_settings

_settings = load_settings()
_mounted = MountedApp()


@bentoml.service(
    name="recsaas",
    workers=_settings.service_workers,
    traffic={"timeout": NoTimeout(3600)},
    # BentoML's metrics label every path, user ids included, so that they grow without end; ours are bounded.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    # Spans cost a third of the requests per second; set the variable to false where there is an exporter.
    envs=[{"name": "OTEL_SDK_DISABLED", "value": "true"}],
)
@bentoml.asgi_app(_mounted, path="/")
class RecsaasService:
    """One worker: its settings, its control DB, its lake and the app over them."""

    def __init__(self) -> None:
        self._settings: Settings = _settings
        self._db: ControlDb | None = None
        self._stop_work: Callable[[], None] | None = None

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Open what the app works with. An error here stops the process, with its message in the log."""
        # Imported in the worker, after BentoML has named the folder that the workers share their metrics in; faiss so
        # that the first request does not wait for it.
        import faiss  # noqa: F401

        from bento_service.app import create_app
        from bento_service.metrics import Metrics
        from resources.upload_check import check_in_child

        configure_logging(self._settings.log_level)
        remove_stale_files(self._settings.home / "incoming")
        self._db = open_control_db(self._settings.database_url)
        lake = Lake.open(
            self._settings.lake_url, scratch=self._settings.scratch, s3_endpoint=self._settings.s3_endpoint
        )
        metrics = Metrics(multiprocess=True)
        app = create_app(
            self._settings, self._db, lake, lambda: datetime.now(UTC), metrics=metrics, check=check_in_child
        )
        _mounted.start(app)
        app.state.services.upload_worker.start()
        self._stop_work = app.state.services.upload_worker.stop

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Give back the work in progress and the connections."""
        if self._stop_work is not None:
            self._stop_work()
        if self._db is not None:
            self._db.close()

    def __is_ready__(self) -> bool:
        """Tell `/readyz` whether requests can be answered: credentials are in the control DB."""
        return self._db is not None and control_db_answers(self._db)
