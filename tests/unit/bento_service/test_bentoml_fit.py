"""What makes the app fit BentoML; BentoML itself is imported in tests/e2e."""

from __future__ import annotations

import asyncio

import pytest
import yaml

from bento_service.bentoml_fit import MountedApp, NoTimeout
from resources.errors import ConfigurationError


def test_the_missing_timeout_can_be_written_down() -> None:
    assert not NoTimeout(3600)
    assert yaml.safe_load(yaml.safe_dump({"timeout": NoTimeout(3600)})) == {"timeout": 3600.0}


def test_before_startup_the_app_says_what_is_wrong() -> None:
    async def nothing() -> dict[str, object]:
        return {}

    async def ignore(_: object) -> None:
        return None

    with pytest.raises(ConfigurationError, match="bentoml serve"):
        asyncio.run(MountedApp()({"type": "http"}, nothing, ignore))
