"""The processes of a running platform: Dagster's code server, UI and daemon, and the service."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from recsaas_assets.instance.home import dagster_instance, prepare_dagster_home
from recsaas_assets.platform.ports import listener
from resources.base.errors import Conflict
from resources.base.settings import Settings
from resources.processes.process import NO_TELEMETRY, private_folder
from resources.processes.supervisor import ProcessSpec, Supervisor, python
from resources.storage.file_lock import try_lock

LOCK = "platform.lock"
"""Held while the platform runs; it names the process that started all others."""
_MAX_SOCKET_PATH = 100
_PROBE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Addresses:
    """URLs of a running platform; `shop` is the demo shop, where there is one."""

    service: str
    dagster: str
    shop: str | None = None


@contextmanager
def running_platform(settings: Settings, say: Callable[[str], None]) -> Iterator[tuple[Supervisor, Addresses]]:
    """Run Dagster and the service until the block ends; `say` is called with a line when one is started again.

    Raises:
        Conflict: another process runs the platform on this folder.
        ProcessFailed: one of the processes did not start.
    """
    if private_folder(settings.home):
        say(f"Others could read {settings.home}; now only you can.")
    with ExitStack() as stack:
        stack.enter_context(only_one(settings.home))
        sockets = stack.enter_context(_sockets(settings.home))
        # Ours from here to the end: while a process is started again its clients wait instead of being refused.
        web, api = (
            stack.enter_context(listener(host, port))
            for host, port in (
                (settings.dagster_host, settings.dagster_port),
                (settings.host, settings.service_port),
            )
        )
        supervisor = Supervisor(settings.home / "logs", working_dir=settings.home, say=say)
        stack.callback(supervisor.stop)
        service = _url(api.getsockname())
        addresses = Addresses(
            service=service,
            dagster=_url(web.getsockname()),
            shop=f"{service}/shop" if settings.demo_tenant else None,
        )
        _start(supervisor, settings, addresses, sockets / "code-server", api=api.fileno(), web=web.fileno())
        yield supervisor, addresses


def _start(
    supervisor: Supervisor, settings: Settings, addresses: Addresses, code_socket: Path, *, api: int, web: int
) -> None:
    dagster_home = prepare_dagster_home(settings)
    with dagster_instance(settings):
        pass  # creates its databases: the processes below would do so all at once
    workspace = dagster_home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server:\n      socket: {json.dumps(str(code_socket))}\n      location_name: recsaas\n"
    )
    environment = _environment(settings, dagster_home)
    code = python("-m", "dagster", "api", "grpc", "-m", "recsaas_assets.definitions", "--location-name", "recsaas")
    # In a folder that only we can enter: whoever reaches it can have code run.
    code += ["--socket", str(code_socket), "--use-python-environment-entry-point", "--inject-env-vars-from-instance"]
    for program in (
        ProcessSpec("code-server", code, lambda: _code_server_answers(code_socket), environment),
        ProcessSpec(
            "service",
            python("-m", "bento_service.serve", "--fd", str(api)),
            lambda: _answers(f"{addresses.service}/healthz"),
            environment,
            files=(api,),
        ),
    ):
        supervisor.start(program)
    # The UI and the daemon give up on a code server that is not there yet.
    supervisor.wait_ready()
    for program in (
        ProcessSpec(
            "dagster-ui",
            python("-m", "recsaas_assets.platform.dagster_ui", "--fd", str(web), "--workspace", str(workspace)),
            lambda: _answers(f"{addresses.dagster}/server_info"),
            environment,
            files=(web,),
        ),
        ProcessSpec(
            "dagster-daemon",
            python("-m", "dagster._daemon", "run", "-w", str(workspace)),
            lambda: True,
            environment,
        ),
    ):
        supervisor.start(program)
    supervisor.wait_ready()


def _environment(settings: Settings, dagster_home: Path) -> dict[str, str]:
    return {
        **NO_TELEMETRY,
        "DAGSTER_HOME": str(dagster_home),
        "RECSAAS_HOME": str(settings.home),
        # Absolute here; relative ones would mean another place in the processes' working folder.
        "RECSAAS_LAKE": settings.lake_url,
        "RECSAAS_DATABASE": settings.database_url,
        "RECSAAS_DECISIONS": settings.decisions_url,
        # They were read here; both at once would be an error.
        "RECSAAS_DATABASE_FILE": "",
        "RECSAAS_DECISIONS_FILE": "",
        "RECSAAS_DEMO_TENANT": settings.demo_tenant,
        "PYTHONUNBUFFERED": "1",
        # Partitioned checks are marked as a preview in the pinned Dagster; the pin makes that harmless.
        "PYTHONWARNINGS": "ignore",
        "BENTOML_HOME": str(settings.home / "bentoml"),
        # Two runs may go on beside the service: threads that outnumber the cores and spin make all of them slow.
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2)),
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _code_server_answers(socket: Path) -> bool:
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=str(socket)).ping("ready")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=_PROBE_SECONDS, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _url(address: tuple[str, int]) -> str:
    host, port = address[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # nosec B104  # nothing is bound here
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


@contextmanager
def _sockets(home: Path) -> Iterator[Path]:
    """A folder for sockets that only this user can enter; elsewhere where the home's name is too long for a socket."""
    folder = home / "sockets"
    if len(str(folder)) <= _MAX_SOCKET_PATH - len("/code-server"):
        private_folder(folder)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="recsaas-") as elsewhere:
        yield Path(elsewhere)


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the installation for one platform: two daemons on one instance would start every run twice.

    Raises:
        Conflict: it is running.
    """
    with open(home / LOCK, "a+") as lock:
        if not try_lock(lock):
            raise Conflict(
                f"recsaas is running on {home} already. Stop it, or choose another folder with RECSAAS_HOME."
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
