"""After an erasure no byte of the shop's files names the user, and nothing else has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import update

from resources.base.errors import Conflict, CorruptRelease, ErasureNotFound, NotFound, TenantNotFound, UserNotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.jobs import JobRow
from resources.control_db.uploads import list_uploads
from resources.erasure.export import export_user
from resources.erasure.perform import perform_erasure
from resources.events.export import export_events, scan_exported_events
from resources.events.log import EventLog
from resources.jobs.kinds.erasures import (
    NOT_NEEDED,
    get_erasure,
    list_erasures,
    mark_retrained,
    pending_erasures,
    tenants_to_retrain,
    user_digest,
    users_being_erased,
)
from resources.jobs.kinds.uploads import too_many_uploads
from resources.jobs.model import Job, JobKind, JobStatus
from resources.jobs.store import add_job
from resources.release.contents import FILE_NAMES
from resources.release.load import load_release
from resources.storage.lake import parts, read_json, read_parquet, scan_parquet, write_bytes, write_parquet
from resources.storage.run_lock import tenant_run_lock
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from tests.unit.resources.erasure.world import INTERACTIONS, NOW, ZOE, World

pytestmark = pytest.mark.databases

TIME = "2024-05-01T10:00:00Z"


def test_no_byte_names_the_user_and_the_certificate_says_where_they_were(world: World) -> None:
    world.fill(ZOE)
    assert len(world.places_with(ZOE)) >= 15
    before = world.store.list()
    certificate = world.erase(ZOE)
    assert world.places_with(ZOE) == []
    users, interactions = (upload.upload_id for upload in list_uploads(world.db, world.tenant))
    copies = {summary.version for summary in world.store.list()} - {summary.version for summary in before}
    assert {finding.place: finding.rows for finding in certificate.found} == {
        "control DB: events": 2,
        "dbt/user_features.parquet": 2,
        "decision log": 1,
        "events/1-2": 1,
        "model": 1,
        "raw/interactions.parquet": 2,
        "raw/users.parquet": 2,
        f"releases/{before[0].version}": 1,
        f"releases/{before[2].version}": 1,
        "training": 1,
        f"uploads/{users}/accepted/part-000000.parquet": 1,
        f"uploads/{users}/keys.parquet": 1,
        f"uploads/{users}/original.csv": 1,
        f"uploads/{interactions}/accepted/part-000000.parquet": 1,
        f"uploads/{interactions}/keys.parquet": 1,
        f"uploads/{interactions}/original.csv.gz": 3,
        f"uploads/{interactions}/rejected/part-000000.parquet": 2,
        f"uploads/{interactions}/report.json": 2,
    }
    done = {finding.place: finding.done for finding in certificate.found}
    assert all(any(copy in done[f"releases/{before[n].version}"] for copy in copies) for n in (0, 2))
    assert certificate.retrain and certificate.out_of_reach
    assert certificate.user_digest == user_digest(certificate.erasure_id, ZOE)
    (stored,) = list_erasures(world.db, world.tenant)
    assert (stored.status, stored.user_id, stored.certificate) == (
        "completed",
        None,
        certificate.model_dump(mode="json"),
    )


def test_everybody_else_is_still_there(world: World, neighbour: World) -> None:
    for each in (world, neighbour):
        each.fill(ZOE)
    theirs = {path: path.read_bytes() for path in Path(neighbour.folder.root).rglob("*") if path.is_file()}
    world.erase(ZOE)
    assert {path: path.read_bytes() for path in Path(neighbour.folder.root).rglob("*") if path.is_file()} == theirs
    assert EventLog(neighbour.db).events_of_user(neighbour.tenant, ZOE).height == 2

    users, interactions = (upload.upload_id for upload in list_uploads(world.db, world.tenant))
    accepted = [scan_parquet(parts(world.folder.accepted(each))).collect() for each in (users, interactions)]
    assert [table["user_id"].to_list() for table in accepted] == [["ann"], ["ann"]]
    assert scan_parquet(parts(world.folder.rejected(interactions))).collect()["user_id"].to_list() == ["ann"]
    report = read_json(world.folder.upload(interactions) / "report.json")
    assert (report["rows_total"], report["rows_rejected"]) == (5, 3), "the counts are those of the day"
    assert [error["user_id"] for error in report["validation_errors"] if error["user_id"]] == ["ann"]
    assert read_parquet(world.folder.dbt / "user_features.parquet").rows() == [("ann", 2)]
    assert read_parquet(world.folder.dbt / "item_features.parquet").height == 1
    assert EventLog(world.db).export_after(world.tenant)["user_id"].to_list() == ["ann", f"{ZOE}2", "bob"]
    export_events(TenantStore(world.lake, world.db, world.tenant), now=NOW)
    exported = scan_exported_events(TenantStore(world.lake, world.db, world.tenant)).collect()
    assert exported["user_id"].to_list() == ["ann", f"{ZOE}2", "bob"]


def test_the_copies_of_releases_answer_as_before_without_the_user(world: World) -> None:
    world.fill(ZOE)
    first, other, live = (summary.version for summary in reversed(world.store.list()))
    before = load_release(world.store.directory(first))
    certificate = world.erase(ZOE)
    versions = [summary.version for summary in reversed(world.store.list())]
    assert other in versions and first not in versions and live not in versions
    assert [version[:8] for version in versions] == [first[:8], other[:8], live[:8]], "the order is the same"
    manifest = world.store.verify(versions[0])
    assert manifest.derived_from is not None
    assert (manifest.derived_from.release, manifest.derived_from.erasure) == (first, certificate.erasure_id)
    assert (manifest.counts.users, manifest.dagster_run_id) == (2, before.manifest.dagster_run_id)
    after = load_release(world.store.directory(versions[0]))
    assert list(after.user_rows) == ["ann", "bob"]
    for user in ("ann", "bob"):
        assert after.history(user).tolist() == before.history(user).tolist()
        assert np.array_equal(after.user_vector(user), before.user_vector(user))  # type: ignore[arg-type]
    assert after.user_vector(ZOE) is None
    assert np.array_equal(after.item_vectors, before.item_vectors)
    # The pointer and what a rollback makes of it name the copies.
    assert world.store.current() == versions[2]
    assert world.store.manifest(versions[2]).replaces == versions[0]
    assert world.store.rollback(NOW, "test").version == versions[0]


def test_a_user_in_rejected_rows_only(world: World) -> None:
    upload = world.upload(Kind.INTERACTIONS, INTERACTIONS, [ZOE, "b1", "glance", TIME, "1"])
    certificate = world.erase(ZOE)
    assert [finding.place.split("/")[2] for finding in certificate.found] == ["original.csv", "rejected", "report.json"]
    assert world.places_with(ZOE) == []
    assert certificate.retrain == ()
    assert get_erasure(world.db, world.tenant, certificate.erasure_id).retrained_run == NOT_NEEDED
    assert not list(Path(world.folder.upload(upload)).glob("original*"))


def test_a_file_that_only_repeats_others_goes_too(world: World) -> None:
    """Its rows were not stored, so only its original names the user."""
    row = [ZOE, "b1", "view", TIME, "1"]
    world.upload(Kind.INTERACTIONS, INTERACTIONS, row)
    world.upload(Kind.INTERACTIONS, INTERACTIONS, row, ["bob", "b2", "view", TIME, "1"])
    world.erase(ZOE)
    assert world.places_with(ZOE) == []


def test_parquet_that_only_repeats_others_is_read_in_a_child(world: World) -> None:
    """So is a file that was sound when it was stored: it is what a stranger has sent."""
    row = [ZOE, "b1", "view", TIME, "1"]
    world.upload(Kind.INTERACTIONS, INTERACTIONS, row)
    folders = [
        world.folder.upload(world.upload(Kind.INTERACTIONS, INTERACTIONS, ["bob", item, "view", TIME, "1"]))
        for item in ("b1", "b2", "b3")
    ]
    named, other, damaged = (folder / "original.parquet" for folder in folders)
    for folder in folders:
        (folder / "original.csv").unlink()
    write_parquet(named, pl.DataFrame([row], schema=INTERACTIONS, orient="row"))
    write_parquet(other, pl.DataFrame([["bob", "b2", "view", TIME, "1"]], schema=INTERACTIONS, orient="row"))
    write_bytes(damaged, b"PAR1" + b"\x15\x04" * 60 + b"PAR1")
    world.erase(ZOE)
    assert [path.exists() for path in (named, other, damaged)] == [False, True, False]


@pytest.mark.parametrize("user", ["7", "=1+1", "ü" * 120, "日本", "a'b", "nullable", "%s{}[", "7 7"])
def test_odd_ids_and_ids_within_ids(world: World, user: str) -> None:
    rows = [[name, "b1", kind, TIME, "7"] for name in (user, f"x{user}", f"{user}2") for kind in ("view", "glance")]
    upload = world.upload(Kind.INTERACTIONS, INTERACTIONS, *rows)
    world.track(user, f"x{user}")
    world.release(1, user, f"x{user}")
    world.erase(user)
    accepted = scan_parquet(parts(world.folder.accepted(upload))).collect()
    rejected = scan_parquet(parts(world.folder.rejected(upload))).collect()
    assert accepted["user_id"].to_list() == rejected["user_id"].to_list() == [f"x{user}", f"{user}2"]
    report = read_json(world.folder.upload(upload) / "report.json")
    # A report cuts ids, so one that begins like the user's goes with it when both are long.
    other = f"{user}2"[:100] if len(user) < 100 else None
    assert [error["user_id"] for error in report["validation_errors"]] == [None, f"x{user}"[:100], other]
    assert EventLog(world.db).export_after(world.tenant)["user_id"].to_list() == [f"x{user}"]
    live = world.store.current()
    assert live is not None
    assert list(load_release(world.store.directory(live)).user_rows) == [f"x{user}"]


@pytest.mark.parametrize(
    ("stored", "user"), [("Zoe\u0308 1", "Zoë 1"), ("17850.0", "17850"), ('="0017"', "0017"), ("'0017", "0017")]
)
def test_every_form_of_an_id_goes_with_it(world: World, stored: str, user: str) -> None:
    """An earlier version stored ids as they came."""
    world.fill(stored)
    exported = export_user(world.tenant_store, world.decisions, user, now=NOW)
    assert (len(exported.events), len(exported.decisions), len(exported.releases)) == (2, 1, 2)
    assert exported.in_training_set
    assert exported.features
    assert exported.seen_items
    world.erase(user)
    assert world.places_with(stored) == []
    with pytest.raises(UserNotFound):
        export_user(world.tenant_store, world.decisions, user, now=NOW)


def test_an_unknown_user_has_an_empty_certificate(world: World) -> None:
    world.fill("zoe")
    before = {path: path.read_bytes() for path in Path(world.folder.root).rglob("*") if path.is_file()}
    certificate = world.erase("nobody")
    assert (certificate.found, certificate.retrain) == ((), ())
    assert {path: path.read_bytes() for path in Path(world.folder.root).rglob("*") if path.is_file()} == before
    with pytest.raises(TenantNotFound):
        World(world.home, world.lake, world.db, TenantId("none")).request("x")


def test_the_request_is_durable_at_once_and_the_same_while_it_waits(world: World, neighbour: World) -> None:
    world.fill(ZOE)
    asked = world.request(ZOE)
    assert EventLog(world.db).events_of_user(world.tenant, ZOE).is_empty(), "no answer looks at them any more"
    assert world.request(ZOE).id == asked.id
    assert neighbour.request(ZOE).id != asked.id
    assert asked.id in {erasure.id for erasure in pending_erasures(world.db)}
    assert users_being_erased(world.db, world.tenant) == {ZOE}
    with tenant_run_lock(world.home, world.tenant, wait_seconds=0), pytest.raises(Conflict, match="still going"):
        perform_erasure(world.lake, world.db, world.decisions, asked, NOW, home=world.home)
    certificate = perform_erasure(world.lake, world.db, world.decisions, asked, NOW, home=world.home)
    assert {f.place: f.rows for f in certificate.found}["control DB: events"] == 2
    assert perform_erasure(world.lake, world.db, world.decisions, asked, NOW, home=world.home) == certificate
    assert users_being_erased(world.db, world.tenant) == frozenset()
    with pytest.raises(ErasureNotFound):
        get_erasure(world.db, neighbour.tenant, asked.id)
    assert world.request(ZOE).id != asked.id, "who comes back may ask again"


def test_a_tenant_is_due_until_a_run_has_trained_without_the_user(world: World, neighbour: World) -> None:
    for each in (world, neighbour):
        each.release(1, ZOE, "ann")
        each.request("nobody")
    assert tenants_to_retrain(world.db) == {}
    certificate = world.erase(ZOE)
    due = tenants_to_retrain(world.db)
    assert {tenant: erasure.id for tenant, erasure in due.items()} == {world.tenant: certificate.erasure_id}
    mark_retrained(world.db, neighbour.tenant, "run-0")
    mark_retrained(world.db, world.tenant, "run-1")
    assert tenants_to_retrain(world.db) == {}
    assert get_erasure(world.db, world.tenant, certificate.erasure_id).retrained_run == "run-1"


def test_what_comes_in_meanwhile_is_erased_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill(ZOE)
    export = Path(world.folder.root) / "training"

    def late(*_: object, **more: object) -> None:
        monkeypatch.undo()
        world.track(ZOE)
        world.upload(Kind.INTERACTIONS, INTERACTIONS, [ZOE, "b6", "view", TIME, "1"])

    monkeypatch.setattr("resources.erasure.perform.waiting_mentions", lambda subject: (late(), ())[1])
    world.erase(ZOE)
    assert world.places_with(ZOE) == []
    assert not export.exists()


def test_a_file_that_waits_to_be_checked_holds_the_erasure_up(world: World) -> None:
    report = {"validation_errors": [{"row": 2, "error": f"'{ZOE}' is odd", "value": ZOE, "user_id": ZOE}]}
    job = Job(
        tenant=world.tenant,
        id="j",
        kind=JobKind.UPLOAD,
        input={"filename": "f"},
        result={"report": report},
        created_at=NOW,
        updated_at=NOW,
    )
    add_job(world.db, job, refused=too_many_uploads)
    asked = world.request(ZOE)
    with pytest.raises(Conflict, match="still to be checked"):
        perform_erasure(world.lake, world.db, world.decisions, asked, NOW, home=world.home)
    with world.db.write() as session:
        session.execute(update(JobRow).where(JobRow.id == "j").values(status=JobStatus.DONE))
    perform_erasure(world.lake, world.db, world.decisions, asked, NOW, home=world.home)
    assert world.places_with(ZOE) == []


def test_a_damaged_release_goes_and_a_damaged_live_one_has_to_be_replaced(world: World) -> None:
    old = world.release(1, ZOE, "ann")
    live = world.release(2, ZOE, "ann")
    for version in (old, live):
        (Path(world.store.directory(version)) / FILE_NAMES[2]).write_bytes(b"damaged")
    asked = world.request(ZOE)
    with pytest.raises(CorruptRelease):
        perform_erasure(world.lake, world.db, world.decisions, asked, NOW, home=world.home)
    world.release(3, "ann")
    certificate = perform_erasure(world.lake, world.db, world.decisions, asked, NOW, home=world.home)
    assert {f.place for f in certificate.found} == {f"releases/{old}", f"releases/{live}"}
    assert world.places_with(ZOE) == []
    with pytest.raises(NotFound):
        world.store.rollback(NOW, "test")


def test_what_dead_processes_left_goes_and_what_is_waiting_is_named(world: World) -> None:
    root = Path(world.folder.root)
    left = (
        ".dbt-0/a.parquet",
        "raw/.users.parquet.0.tmp",
        "releases/.writing-0/a.parquet",
        "uploads/users-0/a.parquet",
    )
    for name in left:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"user_id": [ZOE]}).write_parquet(root / name)
    orphan = root / "events" / "000000000001-000000000009-00000000.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(ZOE.encode())
    landing = world.lake.landing(world.tenant, "users")
    write_bytes(landing / f"{ZOE.replace('/', '')}.csv", f"user_id,a\n{ZOE},1\n".encode())
    write_bytes(landing / ".refused" / "bad.csv", f"x\n{ZOE}\n".encode())
    write_bytes(landing / ".refused" / "other.csv.gz", b"\x1f\x8bnot gzip")
    certificate = world.erase(ZOE)
    assert world.places_with(ZOE) == []
    places = [".dbt-0", "raw/.users.parquet.0.tmp", "releases/.writing-0", "uploads/users-0"]
    assert [finding.place for finding in certificate.found] == places
    named = [line for line in certificate.out_of_reach if line.startswith("landing/")]
    assert len(named) == 3
    assert "landing/blue/users/.refused/bad.csv names the user: remove it yourself" in named
    assert "landing/blue/users/.refused/other.csv.gz may name the user: look into it yourself" in named
