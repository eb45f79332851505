"""The service with workers of its own: `python -m bento_service.serve`.

The same BentoML service as under `bentoml serve`, without BentoML's process manager: that one listens on this machine
for commands without asking who sends them, and takes fifteen seconds to replace a worker.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from bento_service.server.http_server import BACKLOG, serve, server_config
from bento_service.server.prefork import NoWorkerStarted, Started, Workers
from resources.base.settings import Settings, load_settings
from resources.processes.process import begin_process, private_folder, set_variables

_IN_MEMORY = Path("/dev/shm")  # nosec B108  # files in it have names that nobody guesses


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    begin_process()
    settings = load_settings()
    options = _options(settings)
    listener = _listener(options.fd, options.host, options.port)
    private_folder(settings.home)
    with metrics_folder(settings) as metrics:
        # BentoML and Prometheus read these when they are imported.
        set_variables(PROMETHEUS_MULTIPROC_DIR=str(metrics), OTEL_SDK_DISABLED=str(not settings.tracing).lower())
        return _serve(settings, listener)


def _serve(settings: Settings, listener: socket.socket) -> int:
    from bentoml._internal.log import configure_server_logging
    from prometheus_client.multiprocess import mark_process_dead

    from bento_service.service import asgi_app, import_parts
    from bento_service.telemetry.logs import configure_logging

    configure_server_logging()  # type: ignore[no-untyped-call]
    configure_logging(settings.log_level)
    import_parts()
    app = asgi_app()
    server_config(app).load()  # for what it imports
    # Here and not in each worker: a collection writes to every object, so the worker would get a copy of all of them.
    gc.collect()
    gc.freeze()

    def work(started: Started) -> None:
        serve(app, listener, started)

    workers = Workers(settings.service_workers, work, ended=mark_process_dead)
    logging.getLogger("bentoml.serve").info("Serving on %s with %d workers", _name(listener), settings.service_workers)
    try:
        workers.run()
    except NoWorkerStarted as error:
        logging.getLogger("bentoml.serve").error("%s The reason is above.", error)
        return 1
    return 0


def _options(settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bento_service.serve", description=__doc__)
    parser.add_argument("--host", default=settings.host, help="address to listen on (RECSAAS_HOST)")
    parser.add_argument("--port", type=int, default=settings.service_port, help="port (RECSAAS_SERVICE_PORT)")
    parser.add_argument("--fd", type=int, help="a socket that listens already, as an open file of this process")
    return parser.parse_args()


def _listener(fd: int | None, host: str, port: int) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    return socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
    )


def _name(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def metrics_folder(settings: Settings) -> Iterator[Path]:
    """A folder in which the workers share their metrics; removed at the end, as are those of parents that were killed.

    It is in memory where the system has such a place: files that are mapped end whoever writes to them (SIGBUS) when
    their disk is full, and so a full disk would end every worker. Its name says which installation and process it is.
    """
    parent = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else settings.scratch / "metrics"
    parent.mkdir(parents=True, exist_ok=True)
    ours = f"recsaas-metrics-{sha256(bytes(settings.home.absolute())).hexdigest()[:16]}-"
    for folder in parent.glob(f"{ours}*"):
        pid = int(folder.name.removeprefix(ours))
        if pid == os.getpid() or not _runs(pid):
            shutil.rmtree(folder, ignore_errors=True)  # somebody else who starts now may remove it as well
    mine = parent / f"{ours}{os.getpid()}"
    mine.mkdir()
    try:
        yield mine
    finally:
        shutil.rmtree(mine, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main())
