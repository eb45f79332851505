"""Inspecting with everyday settings at a fixed time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from resources.tenant_settings import TenantSettings
from resources.uploads.contract import Kind
from resources.uploads.inspect import Inspection, inspect_upload

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


class Inspect(Protocol):
    def __call__(self, kind: str, content: str | bytes, **options: Any) -> Inspection: ...


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def inspect() -> Inspect:
    def run(kind: str, content: str | bytes, **options: Any) -> Inspection:
        settings = {"filename": f"{kind}.csv", "settings": TenantSettings(), "now": NOW, "max_bytes": 50_000_000}
        data = content.encode() if isinstance(content, str) else content
        return inspect_upload(Kind(kind), data, **{**settings, **options})

    return run
