"""A tenant is erased: in every place, whatever kills it, with a certificate; before it begins it can be undone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from resources.access.actor import Actor
from resources.base.errors import Conflict, ErasureNotFound
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.engine import ControlDb
from resources.control_db.metadata import METADATA
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MailRow, MemberRow, MembershipRow, OneTimeLinkRow
from resources.control_db.tenants import create_tenant, get_tenant, list_tenants, resume_tenant, suspend_tenant
from resources.databases.opening import url_of
from resources.jobs.model import JobKind
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake
from resources.tenancy.database_rows import erasable_tables, unowned_tables
from resources.tenancy.erasing import (
    CLOSED,
    OWNER_GRACE,
    SETTLE,
    SUSPENDED_FIRST,
    TenantEraser,
    certificate_of_tenant,
    close_shop,
    reopen_shop,
    request_tenant_erasure,
    tenant_erasure_runner,
)
from tests.unit.resources.erasure.world import ZOE, World

NOW = datetime.fromisoformat("2024-06-01T12:00:00+00:00")
BLUE, GREEN = TenantId("blue"), TenantId("green")
OFFICE = Actor(kind="office", id="m-1", name="office@example.com", source="api")
GRACE = timedelta(days=7)
PLATFORM_TABLES = {"tenants", "audit_log", "audit_heads"}


@dataclass
class Two:
    """Two tenants of one installation, of which everything is somewhere; `now` is the time."""

    blue: World
    green: World
    now: datetime = NOW

    @property
    def db(self) -> ControlDb:
        return self.blue.db

    def eraser(self) -> TenantEraser:
        return TenantEraser(self.blue.lake, self.db, self.blue.decisions, lambda: self.now, self.blue.home)

    def work(self) -> list[str]:
        """Do the erasures whose time has come; the ends of their jobs."""
        runner, ends = tenant_erasure_runner(self.eraser()), []
        while (job := runner.claim()) is not None:
            outcome = runner.run(job)
            ends.append("" if outcome is None else outcome.status.value)
        return ends

    def request(self, *, at_once: bool = False, grace: timedelta = GRACE) -> None:
        request_tenant_erasure(self.db, BLUE, by=OFFICE, reason=None, grace=grace, at_once=at_once, now=self.now)


@pytest.fixture
def two(tmp_path: Path, db: ControlDb, new_url: str) -> Iterator[Two]:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    for tenant in (BLUE, GREEN):
        create_tenant(db, tenant, name=f"{tenant} secret-name", now=NOW)
    blue = World(tmp_path, lake, db, BLUE, new_url)
    green = replace(blue, tenant=GREEN)
    for world in (blue, green):
        world.fill(ZOE)
        create_api_key(db, world.tenant, name="k", scopes=("admin",), now=NOW)
        folder = Path(str(lake.landing(world.tenant, "items")))
        folder.mkdir(parents=True)
        (folder / "dropped.csv").write_text("item_id\n")
        (folder / "link.csv").symlink_to(tmp_path / "outside.txt")
        world.folder.scratch.mkdir(parents=True, exist_ok=True)
        (world.folder.scratch / "copy").write_text("x")
    (tmp_path / "outside.txt").write_text("not the tenant's")
    _people(db)
    yield Two(blue, green)
    for world in (blue, green):
        world.decisions.close()


def _people(db: ControlDb) -> None:
    """Ann belongs to blue alone, Bob to both, Cal to blue and the office."""
    with db.write() as session:
        for name, office in (("ann", None), ("bob", None), ("cal", "support_agent")):
            session.add(
                MemberRow(
                    id=name,
                    email=f"{name}@example.com",
                    name=name,
                    status="active",
                    office_role=office,
                    version=1,
                    created_at=NOW,
                )
            )
        session.flush()
        for name, tenant in (("ann", BLUE), ("bob", BLUE), ("bob", GREEN), ("cal", BLUE)):
            session.add(MembershipRow(member_id=name, tenant_id=tenant.value, role="owner", created_at=NOW))
            link = OneTimeLinkRow(
                token_hash=f"{name}{tenant}", member_id=name, purpose="reset", data={}, created_at=NOW, expires_at=NOW
            )
            session.add(link)
            session.add(
                MailRow(
                    id=f"{name}{tenant}",
                    recipient=f"{name}@example.com",
                    template="reset",
                    subject="x",
                    attempts=0,
                    created_at=NOW,
                    not_before=NOW,
                )
            )


def everything(two: Two, world: World) -> dict[str, int]:
    """How much of a tenant is in each place."""
    found = {}
    with two.db.read() as session:
        for table in METADATA.sorted_tables:
            if "tenant_id" in table.columns:
                rows = session.execute(select(table).where(table.c.tenant_id == world.tenant.value)).mappings().all()
                found[table.name] = sum(row.get("kind") != JobKind.TENANT_ERASURE for row in rows)
    found["decisions"] = world.decisions.count_of_tenant(world.tenant)
    for name, folder in (
        ("lake", Path(str(world.folder.root))),
        ("landing", world.home / "lake" / "landing" / world.tenant.value),
        ("scratch", world.folder.scratch),
    ):
        found[name] = sum(1 for _ in folder.rglob("*"))
    return {name: count for name, count in found.items() if count}


@pytest.mark.databases
def test_everything_goes_and_the_others_keep_theirs(two: Two) -> None:
    others = everything(two, two.green)
    assert set(others) == set(everything(two, two.blue)) and len(others) > 8
    two.request()
    assert get_tenant(two.db, BLUE).status == "suspended"
    assert two.work() == []  # its time has not come
    two.now += GRACE + timedelta(seconds=1)
    assert two.work() == ["done"]
    assert everything(two, two.blue) == {}
    assert everything(two, two.green) == others
    assert (two.blue.home / "outside.txt").read_text() == "not the tenant's"
    with two.db.read() as session:
        assert set(session.scalars(select(MemberRow.id))) == {"bob", "cal"}
        assert set(session.scalars(select(MailRow.recipient))) == {"bob@example.com", "cal@example.com"}
        assert {row.member_id for row in session.scalars(select(OneTimeLinkRow))} == {"bob", "cal"}
        entries = session.scalars(select(AuditRow).where(AuditRow.chain == "blue").order_by(AuditRow.number)).all()
    assert entries[0].action == "tenant.create"
    assert [entry.action for entry in entries[-2:]] == ["tenant.erase_request", "tenant.erase"]
    certificate = certificate_of_tenant(two.db, BLUE)
    assert certificate.holds and not certificate.model_copy(update={"requested_by": "x"}).holds
    assert entries[-1].after == {"erasure": certificate.erasure_id, "certificate_sha256": certificate.sha256}
    assert {place.left for place in certificate.places} == {0} and min(p.found for p in certificate.places) > 0


@pytest.mark.databases
def test_the_id_is_never_given_out_again(two: Two) -> None:
    two.request(grace=timedelta())
    two.now += SETTLE * 2
    two.work()
    left = get_tenant(two.db, BLUE)
    assert (left.name, left.status, left.erased_at) == ("", "retired", two.now)
    assert [each.id for each in list_tenants(two.db)] == [GREEN]
    with pytest.raises(Conflict):
        create_tenant(two.db, BLUE, name="Blue again", now=two.now)
    for again in (lambda: resume_tenant(two.db, BLUE), lambda: suspend_tenant(two.db, BLUE), two.request):
        with pytest.raises(Conflict):
            again()
    assert two.work() == []


def test_what_is_resumed_in_time_is_not_erased(two: Two) -> None:
    before = everything(two, two.blue)
    two.request()
    two.now += timedelta(days=6)
    resume_tenant(two.db, BLUE, by=OFFICE, now=two.now)
    two.now += timedelta(days=2)
    assert two.work() == ["cancelled"]
    assert get_tenant(two.db, BLUE).status == "active"
    with pytest.raises(ErasureNotFound):
        certificate_of_tenant(two.db, BLUE)
    two.request()  # anew, with the whole time
    two.now += timedelta(days=6)
    assert two.work() == []
    resume_tenant(two.db, BLUE, by=OFFICE, now=two.now)
    assert {name: count for name, count in everything(two, two.blue).items() if name != "jobs"} == before


def test_without_a_time_of_grace_only_after_a_week_of_suspension(two: Two) -> None:
    with pytest.raises(Conflict, match="has not been suspended for 7 days"):
        two.request(at_once=True)
    suspend_tenant(two.db, BLUE, by=OFFICE, reason="Unpaid", now=two.now)
    two.now += SUSPENDED_FIRST - timedelta(seconds=1)
    with pytest.raises(Conflict, match="has not been suspended for 7 days"):
        two.request(at_once=True)
    two.now += timedelta(seconds=1)
    two.request(at_once=True)
    two.now += SETTLE + timedelta(seconds=1)
    assert two.work() == ["done"]
    with pytest.raises(Conflict):
        two.request(at_once=True)


def test_an_owner_has_thirty_days_to_open_the_shop_again(two: Two) -> None:
    owner = Actor(kind="member", id="ann", name="ann@example.com", source="api")
    closed = close_shop(two.db, BLUE, by=owner, now=two.now)
    assert (closed.status, closed.suspended_reason, closed.erase_after) == ("suspended", CLOSED, NOW + OWNER_GRACE)
    two.now += timedelta(days=29)
    assert two.work() == []
    assert reopen_shop(two.db, BLUE, by=owner, now=two.now).status == "active"
    suspend_tenant(two.db, BLUE, by=OFFICE, reason="Unpaid", now=two.now)
    with pytest.raises(Conflict, match="by the operator"):
        reopen_shop(two.db, BLUE, by=owner, now=two.now)


@pytest.mark.databases
@pytest.mark.parametrize("reason", ["Unpaid", CLOSED, None])
def test_an_owner_undoes_nothing_that_an_operator_has_done(
    db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime, reason: str | None
) -> None:
    owner, shop = Actor(kind="member", id="ann", name="ann@example.com", source="api"), shops[0]

    def suspend() -> object:
        return suspend_tenant(db, shop, by=OFFICE, reason=reason, now=now)

    def erase(grace: timedelta) -> object:
        return request_tenant_erasure(db, shop, by=OFFICE, reason=reason, grace=grace, at_once=False, now=now)

    for operators in (suspend, lambda: erase(GRACE), lambda: erase(OWNER_GRACE * 2)):
        for closed_before in (False, True):
            resume_tenant(db, shop, by=OFFICE, now=now)
            if closed_before:
                close_shop(db, shop, by=owner, now=now)
            operators()
            stopped = get_tenant(db, shop)
            assert stopped.suspended_by == "office:m-1"
            for owners in (close_shop, reopen_shop):
                with pytest.raises(Conflict, match="by the operator"):
                    owners(db, shop, by=owner, now=now)
            assert get_tenant(db, shop) == stopped
            if closed_before:
                assert stopped.erase_after is not None and stopped.erase_after <= now + OWNER_GRACE


def test_every_table_is_emptied_or_is_known_to_hold_nothing_of_a_tenant() -> None:
    """A new table has a `tenant_id`, or belongs to one that has, or stands here."""
    of_the_platform = {"plans", "price_lists", "usage_batches", "turns"}
    of_nobody_yet = {"unfinished_logins"}  # gone in minutes, whoever it was
    assert set(unowned_tables()) <= of_the_platform | of_nobody_yet
    assert PLATFORM_TABLES.isdisjoint(table.name for table in erasable_tables())


# Each attempt is forked and dies after a few changes of files and transactions; later ones may do more.
_KILLED = """
import os, signal, sys
from datetime import datetime, timedelta
from pathlib import Path
from sqlalchemy import event
from resources.control_db.engine import open_control_db
from resources.decisions.store import open_decisions
from resources.storage.lake import Lake
from resources.tenancy import database_rows
from resources.tenancy.erasing import TenantEraser, tenant_erasure_runner

database_rows.ROWS_AT_ONCE = 2
home, changes, allowed = Path(sys.argv[1]), 0, 0
clock = [datetime.fromisoformat(sys.argv[4])]

def change(*_):
    global changes
    changes += 1
    if changes > allowed:
        os.kill(os.getpid(), signal.SIGKILL)

def attempt():
    global allowed
    db = open_control_db(sys.argv[2], migrate=False)
    lake = Lake.open(str(home / "lake"), scratch=home / "scratch")
    decisions = open_decisions(sys.argv[3])
    sys.addaudithook(lambda name, _: change() if name in ("os.remove", "os.rmdir") else None)
    event.listen(db.engine, "commit", change)
    event.listen(decisions.engine, "commit", change)
    runner = tenant_erasure_runner(TenantEraser(lake, db, decisions, lambda: clock[0], home))
    job = runner.claim()
    outcome = runner.run(job)
    allowed = sys.maxsize
    assert outcome is not None and outcome.status == "done", outcome

for attempts in range(1, 200):
    allowed = attempts // 2 + 1
    if (child := os.fork()) == 0:
        attempt()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    clock[0] += timedelta(minutes=1)
print(attempts)
"""


@pytest.mark.e2e
@pytest.mark.databases
def test_killed_again_and_again(two: Two) -> None:
    counted = {place.name: place.count(BLUE) for place in _places(two)}
    two.request(grace=timedelta())
    later = two.now + timedelta(minutes=1)
    places = (str(two.blue.home), url_of(two.db.engine), two.blue.decisions_url, later.isoformat())
    command = [sys.executable, "-W", "ignore", "-c", _KILLED, *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15, "it was killed that often"
    assert everything(two, two.blue) == {}
    certificate = certificate_of_tenant(two.db, BLUE)
    assert {place.place: place.found for place in certificate.places} == counted
    releases = ReleaseStore(two.green.folder)
    releases.verify(releases.live_version())


def _places(two: Two) -> tuple[object, ...]:
    from resources.tenancy.places import places_of

    return tuple(places_of(two.blue.lake, two.db, two.blue.decisions, but_job=""))
