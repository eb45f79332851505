"""The processes of a running platform: Dagster's code server, UI and daemon, and the service."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from recsaas_assets.dagster_home import dagster_instance, prepare_dagster_home
from recsaas_assets.supervisor import Program, Supervisor, free_port, python
from resources.errors import Conflict
from resources.settings import Settings

_SERVICE = "bento_service.service:RecsaasService"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running platform answers; `shop` is the demo shop, where there is one."""

    service: str
    dagster: str
    shop: str | None = None


@contextmanager
def running_platform(settings: Settings) -> Iterator[tuple[Supervisor, Addresses]]:
    """Run Dagster and the service until the block ends.

    Raises:
        Conflict: another process runs the platform on this folder.
        ProcessFailed: one of the processes did not start.
    """
    with _only_one(settings.home):
        supervisor = Supervisor(settings.home / "logs", working_dir=settings.home)
        try:
            addresses = _start(supervisor, settings)
            supervisor.wait_ready()
            yield supervisor, addresses
        finally:
            supervisor.stop()


def _start(supervisor: Supervisor, settings: Settings) -> Addresses:
    dagster_home = prepare_dagster_home(settings)
    with dagster_instance(settings):
        pass  # creates its databases: the processes below would do so all at once
    host = settings.host
    dagster_port = free_port(host, settings.dagster_port)
    service_port = free_port(host, settings.service_port, taken=frozenset({dagster_port}))
    code_port = free_port("127.0.0.1", 0, taken=frozenset({dagster_port, service_port}))
    workspace = dagster_home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server:\n      host: 127.0.0.1\n      port: {code_port}\n      location_name: recsaas\n"
    )
    environment = {
        "DAGSTER_HOME": str(dagster_home),
        "RECSAAS_HOME": str(settings.home),
        # Absolute here; relative ones would mean another place in the processes' working folder.
        "RECSAAS_LAKE": settings.lake_url,
        "RECSAAS_DATABASE": settings.database_url,
        "RECSAAS_DECISIONS": settings.decisions_url,
        "RECSAAS_DEMO_TENANT": settings.demo_tenant,
        "PYTHONUNBUFFERED": "1",
        # Partitioned checks are marked as a preview in the pinned Dagster; the pin makes that harmless.
        "PYTHONWARNINGS": "ignore",
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(settings.home / "bentoml"),
        # Two runs may go on beside the service: threads that outnumber the cores and spin make all of them slow.
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2)),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    service = _url(host, service_port)
    addresses = Addresses(
        service=service, dagster=_url(host, dagster_port), shop=f"{service}/shop" if settings.demo_tenant else None
    )
    code = python("-m", "dagster", "code-server", "start", "-m", "recsaas_assets.definitions")
    for program in (
        Program(
            "code-server",
            [*code, "--host", "127.0.0.1", "--port", str(code_port)],
            lambda: _code_server_answers(code_port),
            environment,
        ),
        Program(
            "service",
            python("-m", "bentoml", "serve", _SERVICE, "--host", host, "--port", str(service_port)),
            lambda: _answers(f"{addresses.service}/healthz"),
            environment,
        ),
    ):
        supervisor.start(program)
    # The UI and the daemon give up on a code server that is not there yet.
    supervisor.wait_ready()
    for program in (
        Program(
            "dagster-ui",
            python("-m", "dagster_webserver", "-h", host, "-p", str(dagster_port), "-w", str(workspace)),
            lambda: _answers(f"{addresses.dagster}/server_info"),
            environment,
        ),
        Program(
            "dagster-daemon",
            python("-m", "dagster._daemon", "run", "-w", str(workspace)),
            lambda: True,
            environment,
        ),
    ):
        supervisor.start(program)
    return addresses


def _code_server_answers(port: int) -> bool:
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(port=port, host="127.0.0.1").ping("ready")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


def _url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host == "0.0.0.0" else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Two daemons on one instance would start every run twice."""
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "platform.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"recsaas is running on {home} already. Stop it, or choose another folder with RECSAAS_HOME."
            ) from error
        yield
