"""An erasure reaches files with the recommendations of all users."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest

from resources.jobs.kinds.exports import (
    ExportFormat,
    ExportRequest,
    ExportStatus,
    RecommendationExport,
    get_export,
)
from resources.jobs.model import JobKind
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobRunner
from resources.recommendations.exports import ExportWriter, export_file, submit_export
from resources.storage.lake import put_file
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from tests.unit.resources.erasure.world import NOW, ZOE, World

pytestmark = pytest.mark.databases


def export(world: World, kind: ExportFormat, minute: int = 0) -> RecommendationExport:
    now = NOW + timedelta(minutes=minute)
    writer = ExportWriter(world.lake, world.db, lambda: now)
    runner = JobRunner(JobQueue(world.db, lambda: now, "one"), {JobKind.EXPORT: writer}, Event())
    request = ExportRequest(count=2, scenario=None, format=kind)
    submit_export(TenantStore(world.lake, world.db, world.tenant), request, now=now)
    claimed = runner.claim()
    assert claimed is not None
    assert runner.run(claimed) is not None
    return get_export(world.db, world.tenant, claimed.id)


def files(world: World) -> list[str]:
    return sorted(file.name for file in list_files(world.folder.exports))


@pytest.mark.parametrize("kind", list(ExportFormat))
def test_a_file_with_the_user_goes_and_the_certificate_says_so(
    world: World, neighbour: World, kind: ExportFormat
) -> None:
    for each in (world, neighbour):
        each.release(1, ZOE, "ann", f"{ZOE}2")
    made, theirs = export(world, kind), export(neighbour, kind)
    place = f"exports/{made.id}.{kind}"
    assert place in world.places_with(ZOE)
    certificate = world.erase(ZOE)
    assert world.places_with(ZOE) == []
    found = {finding.place: (finding.rows, finding.done) for finding in certificate.found}
    assert found[place][0] == 2
    assert "asked for again" in found[place][1]
    left = get_export(world.db, world.tenant, made.id)
    assert (left.status, left.figures.bytes, left.error_code) == (ExportStatus.COMPLETED, None, "user_erased")
    assert files(neighbour) == [f"{theirs.id}.{kind}"]
    assert get_export(neighbour.db, neighbour.tenant, theirs.id).figures.bytes
    again = export(world, kind, minute=1)
    assert f"exports/{again.id}.{kind}" not in world.places_with(ZOE)
    assert files(world) == [f"{again.id}.{kind}"]


def test_a_file_without_the_user_stays(world: World) -> None:
    world.release(1, "ann", f"{ZOE}2")
    made = {export(world, kind, minute).id for minute, kind in enumerate(ExportFormat)}
    assert not [finding for finding in world.erase(ZOE).found if finding.place.startswith("exports")]
    assert {file.partition(".")[0] for file in files(world)} == made


def test_a_file_that_a_killed_process_left_goes_as_well(world: World) -> None:
    world.release(1, ZOE, "ann")
    made = export(world, ExportFormat.CSV)
    folder = world.folder.exports
    put_file(export_file(world.lake, made), folder / "export-0000.csv")  # of an export that is not in the list
    (folder / ".export-1.csv.0f.tmp").write_text(f"user_id\n{ZOE}\n")
    certificate = world.erase(ZOE)
    assert files(world) == []
    places = {finding.place for finding in certificate.found}
    assert {"exports/export-0000.csv", "exports/.export-1.csv.0f.tmp"} <= places
