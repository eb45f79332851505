"""Where our app and BentoML do not fit by themselves. Knows nothing of BentoML but its habits (1.4.39)."""

from __future__ import annotations

import yaml  # type: ignore[import-untyped]
from starlette.types import ASGIApp, Receive, Scope, Send

from resources.errors import ConfigurationError


class MountedApp:
    """The app under BentoML.

    BentoML hands a Starlette app only the paths it has routes for, and answers the others itself, in another shape; a
    plain callable gets them all. The app is set at startup, in the worker that serves.
    """

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    def start(self, app: ASGIApp) -> None:
        """Answer with `app` from now on."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._app is None:
            raise ConfigurationError("The service has not started; run it with `bentoml serve`.")
        await self._app(scope, receive, send)


class NoTimeout(float):
    """A timeout that BentoML (1.4.39) leaves out: its configuration refuses "none", its server tests for truth.

    Its timeout would cut long uploads, answer in another shape, and hold a timer for every request until it has run
    out. Slow bodies are given up by our own (`requests.py`).
    """

    def __bool__(self) -> bool:
        return False


# `bentoml build` writes the configuration down.
yaml.SafeDumper.add_representer(NoTimeout, yaml.SafeDumper.represent_float)
