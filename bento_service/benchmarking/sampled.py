"""The service's app in one process that watches where its processor time goes: for `recsaas bench serve`.

`python -m bento_service.benchmarking.sampled --port 9000`. SIGUSR1 starts the samples; when the process is told to
stop it writes them to stdout, as JSON: samples by layer, and by function of ours. A sample is taken after so much
processor time of the process, not of the clock as py-spy's (ADR 17), so waiting does not count, and is a look at the
stack of the event loop.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from types import FrameType

import uvicorn

from bento_service.app import create_app
from bento_service.telemetry.logs import configure_logging
from resources.base.settings import load_settings
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake

EVERY_SECONDS = 0.002
HTTP_SERVER = "http_server"
BACKGROUND = "background_threads"
LAYERS = (
    ("bento_service.middleware", "middleware"),
    ("bento_service.access.limits", "limits"),
    ("bento_service.api.auth", "auth"),
    ("bento_service.access.key_cache", "auth"),
    ("resources.control_db", "auth"),
    ("bento_service.http.json_body", "request_body"),
    ("bento_service.schemas", "request_body"),
    ("resources.events.recent", "context"),
    ("resources.recommendations.context", "context"),
    ("bento_service.recommending.contexts", "context"),
    ("bento_service.recommending.tenant_states", "context"),
    ("resources.recommendations.tenant_state", "context"),
    ("bento_service.recommending.release_cache", "context"),
    ("resources.ranker", "ranking"),
    ("resources.release", "ranking"),
    ("bento_service.recommending.answer_json", "encoding"),
    ("starlette.responses", "encoding"),
    ("resources.decisions", "decision"),
    ("bento_service.events.decision_log", "decision"),
    ("bento_service.telemetry.logs", "log_and_metrics"),
    ("bento_service.telemetry.metrics", "log_and_metrics"),
    ("structlog", "log_and_metrics"),
    ("prometheus_client", "log_and_metrics"),
    ("bento_service.recommending.answering", "answering"),
    ("bento_service.recommending.answer_cache", "answering"),
    ("bento_service.recommending.kept_answers", "answering"),
    ("bento_service.recommending.queries", "answering"),
    ("bento_service.recommending.page", "answering"),
    ("bento_service.api", "answering"),
    ("uvicorn", HTTP_SERVER),
)
"""The layer of a module, by how its name begins. What a library does counts for the one of ours that called it."""


class Sampler:
    """Counts the layers that the event loop is in."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self._layers: dict[str, str | None] = {}
        self._process = self._thread = 0.0

    def start(self, *_signal: object) -> None:
        """Forget what was counted, and count from now on."""
        self.samples.clear()
        self.functions.clear()
        self._process, self._thread = time.process_time(), time.thread_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)

    def stop(self) -> None:
        """Count no more."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        process, thread = time.process_time(), time.thread_time()
        own = thread - self._thread >= (process - self._process) / 2
        self._process, self._thread = process, thread
        layer, function = self._place(frame) if own else (BACKGROUND, BACKGROUND)
        self.samples[layer] += 1
        self.functions[function] += 1

    def _place(self, frame: FrameType | None) -> tuple[str, str]:
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            if module not in self._layers:
                self._layers[module] = layer_of(module)
            if (layer := self._layers[module]) is not None:
                return layer, f"{module}.{frame.f_code.co_qualname}"
            frame = frame.f_back
        return HTTP_SERVER, HTTP_SERVER


def layer_of(module: str) -> str | None:
    """Return the layer of a module; `None`: it works for whoever called it."""
    return next((layer for start, layer in LAYERS if module == start or module.startswith(start + ".")), None)


def main() -> None:
    """Serve until told to stop, then write the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    settings = load_settings()
    configure_logging(settings.log_level)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch, s3_endpoint=settings.s3_endpoint)
    app = create_app(settings, db, lake, lambda: datetime.now(UTC))
    sampler = Sampler()
    signal.signal(signal.SIGUSR1, sampler.start)
    # uvicorn takes SIGTERM itself, and hands it on when it has stopped: that one must not end us before we wrote.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")).run()
    sampler.stop()
    app.state.services.decisions.close()
    app.state.services.contexts.close()
    db.close()
    sys.stdout.write("\n" + json.dumps({"layers": sampler.samples, "functions": sampler.functions}) + "\n")


if __name__ == "__main__":
    main()
