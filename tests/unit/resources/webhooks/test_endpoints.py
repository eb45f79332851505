"""Endpoints, what is announced to them, and their deliveries."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from resources.access.actor import Actor
from resources.base.errors import Conflict, InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MailRow, MemberRow, MembershipRow
from resources.control_db.tenants import resume_tenant, suspend_tenant
from resources.control_db.uploads import UploadRecord, record_upload
from resources.training.runs import note_end, note_stage
from resources.webhooks.announcing import announce
from resources.webhooks.endpoints.deliveries import (
    KEPT,
    RESTS,
    STOPPED_AFTER,
    Try,
    add_test,
    claim_due,
    forget_old,
    list_deliveries,
    note_try,
    try_again,
)
from resources.webhooks.endpoints.endpoint import MAX_ENDPOINTS, WebhookDraft, checked_url
from resources.webhooks.endpoints.store import (
    OVERLAP,
    add_webhook,
    change_webhook,
    get_webhook,
    list_webhooks,
    remove_webhook,
    rotate_secret,
)
from tests.unit.conftest import BLUE, GREEN

pytestmark = pytest.mark.databases

BY = Actor(kind="key", id="k1", name="web", source="api")
URL = "https://shop.example.com/hook"
WORKED, FAILED = Try(status=200, error=None, milliseconds=5), Try(status=500, error="500", milliseconds=5)


def added(db: ControlDb, now: datetime, *events: str, tenant: TenantId = BLUE) -> str:
    webhook, _ = add_webhook(db, tenant, WebhookDraft(url=URL, events=events), by=BY, now=now)
    return webhook.id


def told(db: ControlDb, now: datetime, event: str = "release.live", tenant: TenantId = BLUE) -> None:
    with db.write() as session:
        announce(session, tenant, event, {"version": "v1"}, now=now)  # type: ignore[arg-type]


def test_an_announcement_goes_to_those_who_want_it(db: ControlDb, shops: object, now: datetime) -> None:
    everything, releases, uploads = added(db, now), added(db, now, "release.live"), added(db, now, "upload.checked")
    off = added(db, now)
    change_webhook(db, BLUE, off, WebhookDraft(enabled=False), by=BY, now=now)
    other = added(db, now, tenant=GREEN)
    told(db, now)
    counts = {each: len(list_deliveries(db, BLUE, each, limit=9)) for each in (everything, releases, uploads, off)}
    assert counts == {everything: 1, releases: 1, uploads: 0, off: 0}
    assert list_deliveries(db, GREEN, other, limit=9) == ()


def test_nothing_is_announced_that_was_taken_back(db: ControlDb, shops: object, now: datetime) -> None:
    webhook = added(db, now)
    with pytest.raises(RuntimeError), db.write() as session:
        announce(session, BLUE, "release.live", {}, now=now)
        raise RuntimeError("the change failed")
    assert list_deliveries(db, BLUE, webhook, limit=9) == ()


def test_uploads_and_runs_are_told_once(db: ControlDb, shops: object, now: datetime) -> None:
    webhook = added(db, now)
    upload = UploadRecord(BLUE, "up-1", "items", "0" * 64, "items.csv", "http", "partial", 3, 1, 0, now)
    record_upload(db, upload)
    record_upload(db, upload)
    note_stage(db, BLUE, "run-1", "raw", now=now)
    note_end(db, BLUE, "run-1", status="failed", message="too few", now=now)
    note_end(db, BLUE, "run-1", status="failed", message="too few", now=now)
    found = list_deliveries(db, BLUE, webhook, limit=9)
    assert sorted(each.type for each in found) == ["training.finished", "upload.checked"]
    first, second = claim_due(db, now=now), claim_due(db, now=now)
    assert first is not None and second is not None
    data = {each.type: each.data for each in (first, second)}
    assert data["upload.checked"]["rows_rejected"] == 1
    assert data["training.finished"] == {"run_id": "run-1", "status": "failed", "message": "too few"}


def test_a_delivery_is_claimed_by_one_at_a_time(db: ControlDb, shops: object, now: datetime) -> None:
    added(db, now)
    told(db, now)
    due = claim_due(db, now=now)
    assert due is not None and (due.url, due.attempts, due.data) == (URL, 1, {"version": "v1"})
    assert claim_due(db, now=now + timedelta(seconds=30)) is None
    again = claim_due(db, now=now + timedelta(seconds=61))  # whoever had it has died
    assert again is not None and (again.id, again.event_id, again.attempts) == (due.id, due.event_id, 2)


def test_a_busy_endpoint_keeps_no_other_waiting(db: ControlDb, shops: object, now: datetime) -> None:
    slow = added(db, now)
    told(db, now)
    quick = added(db, now)
    told(db, now + timedelta(seconds=1))
    due = claim_due(db, now=now + timedelta(seconds=1), busy={slow})
    assert due is not None and due.webhook_id == quick


def test_what_fails_is_tried_again_and_again_and_then_no_more(db: ControlDb, shops: object, now: datetime) -> None:
    webhook = added(db, now)
    told(db, now)
    at, waits = now, []
    while (due := claim_due(db, now=at)) is not None:
        noted = note_try(db, due, FAILED, now=at)
        assert noted is not None
        if noted.next_try_at is None:
            break
        waits.append(noted.next_try_at - at)
        at = noted.next_try_at
    assert tuple(waits) == RESTS
    (delivery,) = list_deliveries(db, BLUE, webhook, limit=9)
    assert (delivery.status, delivery.attempts, delivery.answer_status) == ("failed", len(RESTS) + 1, 500)
    again = try_again(db, BLUE, webhook, delivery.id, now=at)
    assert again.status == "waiting"
    due = claim_due(db, now=at)
    assert due is not None
    done = note_try(db, due, WORKED, now=at)
    assert done is not None and (done.status, done.ended_at) == ("delivered", at)
    with pytest.raises(Conflict, match="arrived"):
        try_again(db, BLUE, webhook, delivery.id, now=at)
    assert get_webhook(db, BLUE, webhook).failing_since is None


@pytest.mark.parametrize(("early", "late"), [(WORKED, FAILED), (FAILED, WORKED), (None, FAILED), (None, WORKED)])
def test_a_late_result_changes_nothing(
    db: ControlDb, shops: object, now: datetime, early: Try | None, late: Try
) -> None:
    webhook = added(db, now)
    told(db, now)
    slow = claim_due(db, now=now)
    later = now + timedelta(minutes=2)
    quick = claim_due(db, now=later)
    assert slow is not None and quick is not None and slow.id == quick.id
    if early is not None:
        note_try(db, quick, early, now=later)
    (before,) = list_deliveries(db, BLUE, webhook, limit=9)
    failing = get_webhook(db, BLUE, webhook).failing_since
    noted = note_try(db, slow, late, now=later + timedelta(seconds=1))
    assert list_deliveries(db, BLUE, webhook, limit=9) == (before,) == (noted,)
    assert get_webhook(db, BLUE, webhook).failing_since == failing


def test_a_result_of_before_it_was_tried_again_by_hand_changes_nothing(
    db: ControlDb, shops: object, now: datetime
) -> None:
    webhook, at, last = added(db, now), now, None
    told(db, now)
    while (due := claim_due(db, now=at)) is not None:
        last, noted = due, note_try(db, due, FAILED, now=at)
        at = (noted.next_try_at if noted else None) or at
    assert last is not None and last.attempts == len(RESTS) + 1
    try_again(db, BLUE, webhook, last.id, now=at)
    again = claim_due(db, now=at)
    assert again is not None and again.attempts == last.attempts + 1
    note_try(db, last, WORKED, now=at)
    assert list_deliveries(db, BLUE, webhook, limit=9)[0].status == "waiting"
    failed = note_try(db, again, FAILED, now=at)
    assert failed is not None and failed.status == "failed"


@pytest.mark.parametrize("status", [410, 500])
def test_an_endpoint_that_is_gone_is_told_nothing_more(
    db: ControlDb, shops: object, now: datetime, status: int
) -> None:
    webhook = added(db, now)
    with db.write() as session:
        owner = {"status": "active", "name": "", "version": 1, "created_at": now}
        session.add(MemberRow(id="m1", email="owner@example.com", **owner))
        session.flush()
        session.add(MembershipRow(member_id="m1", tenant_id="blue", role="owner", created_at=now))
    told(db, now)
    first = claim_due(db, now=now)
    assert first is not None
    note_try(db, first, Try(status=status, error="x", milliseconds=1), now=now)
    later = now + STOPPED_AFTER
    if status == 500:
        assert get_webhook(db, BLUE, webhook).enabled
        second = claim_due(db, now=later)
        assert second is not None
        note_try(db, second, FAILED, now=later)
    stopped = get_webhook(db, BLUE, webhook)
    assert not stopped.enabled and stopped.stopped_because is not None
    with db.read() as session:
        (mail,) = session.scalars(select(MailRow)).all()
        assert (mail.recipient, mail.tenant_id) == ("owner@example.com", "blue") and URL in (mail.body or "")
        of_blue = select(AuditRow.action).where(AuditRow.chain == "blue").order_by(AuditRow.seq)
        assert session.scalars(of_blue).all() == ["tenant.create", "webhook.add", "webhook.stop"]
    assert claim_due(db, now=later + timedelta(days=1)) is None
    with pytest.raises(Conflict, match="off"):
        add_test(db, BLUE, webhook, now=now)
    again = change_webhook(db, BLUE, webhook, WebhookDraft(enabled=True), by=BY, now=later)
    assert again.enabled and again.stopped_because is None and again.failing_since is None


def test_deliveries_of_a_suspended_tenant_wait(db: ControlDb, shops: object, now: datetime) -> None:
    added(db, now)
    told(db, now)
    suspend_tenant(db, BLUE)
    assert claim_due(db, now=now) is None
    resume_tenant(db, BLUE)
    assert claim_due(db, now=now) is not None


def test_a_new_secret_and_the_one_before(db: ControlDb, shops: object, now: datetime) -> None:
    made, first = add_webhook(db, BLUE, WebhookDraft(url=URL), by=BY, now=now)
    _, second = rotate_secret(db, BLUE, made.id, by=BY, now=now)
    told(db, now)
    due = claim_due(db, now=now)
    assert due is not None and due.secrets == (second, first)
    later = claim_due(db, now=now + OVERLAP)
    assert later is not None and later.secrets == (second,)
    with db.read() as session:
        stored = [f"{row.before}{row.after}" for row in session.scalars(select(AuditRow))]
    assert not any(first in text or second in text for text in stored)


def test_another_tenants_endpoint_does_not_exist(db: ControlDb, shops: object, now: datetime) -> None:
    webhook = added(db, now)
    test = add_test(db, BLUE, webhook, now=now)
    for call in (
        lambda: get_webhook(db, GREEN, webhook),
        lambda: remove_webhook(db, GREEN, webhook, by=BY, now=now),
        lambda: rotate_secret(db, GREEN, webhook, by=BY, now=now),
        lambda: list_deliveries(db, GREEN, webhook, limit=9),
        lambda: try_again(db, GREEN, webhook, test.id, now=now),
        lambda: try_again(db, BLUE, webhook, "dlv-none", now=now),
    ):
        with pytest.raises(NotFound):
            call()
    assert list_webhooks(db, GREEN) == ()


def test_what_is_removed_takes_its_deliveries_along(db: ControlDb, shops: object, now: datetime) -> None:
    webhook = added(db, now)
    told(db, now)
    due = claim_due(db, now=now)
    assert due is not None
    remove_webhook(db, BLUE, webhook, by=BY, now=now)
    assert note_try(db, due, WORKED, now=now) is None and list_webhooks(db, BLUE) == ()


def test_a_tenant_has_a_bounded_number(db: ControlDb, shops: object, now: datetime) -> None:
    for _ in range(MAX_ENDPOINTS):
        added(db, now)
    with pytest.raises(Conflict, match="20"):
        added(db, now)


def test_old_deliveries_go(db: ControlDb, shops: object, now: datetime) -> None:
    webhook = added(db, now)
    told(db, now)
    told(db, now + timedelta(days=1))
    for _ in range(2):
        due = claim_due(db, now=now + timedelta(days=1))
        assert due is not None
        note_try(db, due, WORKED, now=now + timedelta(days=1))
    forget_old(db, now=now + KEPT + timedelta(hours=1))
    assert len(list_deliveries(db, BLUE, webhook, limit=9)) == 1


def test_lists_go_on_where_they_ended(db: ControlDb, shops: object, now: datetime) -> None:
    webhook = added(db, now)
    for _ in range(5):
        told(db, now)  # all of one moment
    seen: list[str] = []
    before = None
    while page := list_deliveries(db, BLUE, webhook, limit=2, before=before):
        seen += [each.id for each in page]
        before = (page[-1].created_at, page[-1].id)
    assert len(set(seen)) == len(seen) == 5


@pytest.mark.parametrize(
    "url",
    [
        *("http://shop.example.com", "ftp://x", "https://", "https://u:p@x.example", "https://x.example/#a", "x"),
        *(
            "https://x.example:99999/",
            "https://ü.example/",
            "https://a b.example/",
            "https://[::1",
            f"https://x/{'a' * 2000}",
        ),
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_url(url, plain_http=False)
    assert refused.value.details[0].field == "url"


def test_an_event_that_there_is_not(db: ControlDb, shops: object, now: datetime) -> None:
    with pytest.raises(InvalidInput, match=r"release\.live"):
        added(db, now, "release.dead")
    with pytest.raises(InvalidInput, match="url"):
        add_webhook(db, BLUE, WebhookDraft(), by=BY, now=now)
