"""Dagster's web interface behind a guard: `python -m recsaas_assets.platform.dagster_ui --fd N --workspace FILE`.

Dagster's own command takes whatever name a browser used to get here, runs GraphQL mutations that come as a GET, and
lets every page in a WebSocket. It has no login, so each of these lets a web page that an operator happens to look at
start and delete things here.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

import uvicorn

from recsaas_assets.platform.ui_guard import UiGuard
from resources.base.settings import load_settings
from resources.processes.process import begin_process

# As Dagster's own command does.
_STATEMENT_MILLISECONDS, _POOL_RECYCLE_SECONDS, _POOL_OVERFLOW = 15_000, 3_600, 20


def main() -> int:
    """Serve until SIGTERM; return the exit status."""
    begin_process()
    parser = argparse.ArgumentParser(prog="python -m recsaas_assets.platform.dagster_ui", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="a socket that listens, as an open file of this process")
    parser.add_argument("--workspace", type=Path, required=True, help="Dagster's workspace.yaml")
    options = parser.parse_args()
    _serve(socket.socket(fileno=options.fd), options.workspace)
    return 0


def _serve(listener: socket.socket, workspace: Path) -> None:
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context
    from dagster_webserver.version import __version__

    settings = load_settings()
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_MILLISECONDS, _POOL_RECYCLE_SECONDS, _POOL_OVERFLOW)
        target = WorkspaceFileTarget([str(workspace)])
        with WorkspaceProcessContext(instance, version=__version__, workspace_load_target=target) as context:
            app = UiGuard(
                create_app_from_workspace_process_context(context),
                bound_to=listener.getsockname()[0],
                names=[name.strip() for name in settings.dagster_names.split(",") if name.strip()],
            )
            uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
