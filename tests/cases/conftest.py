"""Tenants to try files on, made from one database that is migrated already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from resources.control_db.engine import open_control_db
from tests.cases.trying import Trial

OpenTrial = Callable[[Mapping[str, Any]], Trial]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty control DB to copy: migrating takes longer than most tests."""
    file = tmp_path_factory.mktemp("control") / "control.db"
    open_control_db(f"sqlite:///{file}").close()
    return file


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
