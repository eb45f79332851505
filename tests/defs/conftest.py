"""Installations for real runs of the graph. One parse of the dbt project serves the whole session."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, Definitions, SensorResult, build_sensor_context

from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from resources.dagster_resources import PlatformResource
from tests.defs.site import Site, recsaas_home

MakeSite = Callable[[], Site]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with nothing in it but dbt's parse."""
    home = tmp_path_factory.mktemp("template")
    parse_manifest(PROJECT_DIR, home / "dbt")
    return home


@pytest.fixture(scope="session")
def definitions(template: Path) -> Definitions:
    """The code location. Its features parse the project below RECSAAS_HOME when they are imported."""
    with recsaas_home(template):
        from recsaas_assets.definitions import defs
    return defs


@pytest.fixture(scope="session")
def _sites(template: Path, definitions: Definitions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    made: list[Site] = []

    def make() -> Site:
        home = tmp_path_factory.mktemp("site") / "home"
        shutil.copytree(template, home, ignore=shutil.ignore_patterns("work", "logs"))
        made.append(Site(home))
        return made[-1]

    yield make
    for site in made:
        site.db.close()


@pytest.fixture
def site(_sites: MakeSite) -> Site:
    """An installation of this test alone."""
    return _sites()


@pytest.fixture(scope="module")
def shared_site(_sites: MakeSite) -> Site:
    """An installation of all tests in a module: each uses tenants of its own."""
    return _sites()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def tick(site: Site, instance: DagsterInstance, definitions: Definitions) -> Any:
    """Evaluate a sensor once, with the cursor that it left the last time."""
    cursors: dict[str, str | None] = {}

    def evaluate(name: str = "new_uploads") -> Any:
        platform = PlatformResource(home=str(site.home))
        resources = {"platform": platform}
        with build_sensor_context(instance=instance, cursor=cursors.get(name), resources=resources) as context:
            result = definitions.resolve_sensor_def(name)(context)
        if isinstance(result, SensorResult):
            cursors[name] = result.cursor
        return result

    evaluate.cursors = cursors  # type: ignore[attr-defined]
    return evaluate
