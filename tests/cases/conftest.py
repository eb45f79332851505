"""Tenants to try files on, made from one database that is migrated already, and the app over a shop with a release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cases.trying import Trial
from tests.unit.bento_service.conftest import app, blue, client, db, lake, settings
from tests.unit.conftest import database, database_url, migrated

# The fixtures of the app's own tests.
__all__ = ["app", "blue", "client", "database", "database_url", "db", "lake", "migrated", "settings", "trial"]

OpenTrial = Callable[[Mapping[str, Any]], Trial]


@pytest.fixture
def trial(tmp_path: Path, migrated: Path) -> Iterator[OpenTrial]:
    """Opens tenants, each apart from the others."""
    opened: list[Trial] = []

    def open_trial(changes: Mapping[str, Any]) -> Trial:
        opened.append(Trial(tmp_path / f"trial-{len(opened)}", migrated, changes))
        return opened[-1]

    yield open_trial
    for each in opened:
        each.close()
