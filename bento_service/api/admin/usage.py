"""What a tenant has used, and what it costs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from bento_service.api.auth import OfficePrincipal, Principal, require, require_office
from bento_service.dependencies import Services, WithServices
from bento_service.http.errors import invalid_fields
from bento_service.http.pagination import PageCursor, PageLimit, Pages, cursor_parameter, pages_by_text
from bento_service.scheduling.threads import threaded
from bento_service.schemas.admin.usage import (
    StatementAnswer,
    StatementPage,
    StoredNow,
    UsageEntry,
    UsagePage,
    UsageSums,
)
from resources.base.errors import FieldProblem, NotFound
from resources.base.spreadsheets import safe_cell
from resources.base.tenant import TenantId
from resources.billing.prices import PriceList
from resources.billing.statements import (
    BillingMonth,
    Statement,
    find_statement,
    list_statements,
    statement_so_far,
)
from resources.control_db.tenants import get_tenant
from resources.usage.current import stored_by, usage_of
from resources.usage.listing import GROUPS, Group, LinePlace, UsageLine, UsageQuestion, usage_lines

router = APIRouter(tags=["usage"])
Analyst = Annotated[Principal, Depends(require("analytics:read"))]
Office = Annotated[OfficePrincipal, Depends(require_office("tenants:read"))]
Since = Annotated[date | None, Query(alias="from", description="First UTC day; 30 days before `to` when left out.")]
Until = Annotated[date | None, Query(alias="to", description="Last UTC day; today when left out.")]
Groups = Annotated[
    list[Group],
    Query(description="What lines are told apart by; may be repeated. `day` and `operation` when left out."),
]
UsageFormat = Annotated[Literal["json", "csv"], Query(description="`csv`: all lines in one file, without pages.")]
Cursor = Annotated[str | None, cursor_parameter(400)]
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_DAYS = 30
_MOST_DAYS = 400
_CSV_PART = 1000


def _read_place(text: str) -> LinePlace:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError("not a place")
    return tuple(found)


_PAGES: Pages[LinePlace] = Pages("q", write=lambda place: json.dumps(place), read=_read_place)
_STATEMENTS = pages_by_text("t")


@router.get("/api/v1/usage", response_model=UsagePage, responses=_CSV, summary="Show usage")
@threaded("reads")
def usage(
    principal: Analyst,
    services: WithServices,
    since: Since = None,
    until: Until = None,
    group: Groups = [],  # noqa: B006  FastAPI reads the query anew each time
    format: UsageFormat = "json",
    limit: PageLimit = 200,
    cursor: Cursor = None,
) -> Response:
    """Show what the tenant has used from one UTC day to another; answers of the last second may be missing."""
    asked = _question(services, principal.tenant, since, until, group)
    return _file(services, asked) if format == "csv" else _page(services, asked, limit, cursor)


@router.get(
    "/api/v1/admin/tenants/{tenant_id}/usage", response_model=UsagePage, responses=_CSV, summary="Show a tenant's usage"
)
@threaded("reads")
def tenant_usage(
    principal: Office,
    services: WithServices,
    tenant_id: str,
    since: Since = None,
    until: Until = None,
    group: Groups = [],  # noqa: B006  FastAPI reads the query anew each time
    format: UsageFormat = "json",
    limit: PageLimit = 200,
    cursor: Cursor = None,
) -> Response:
    """Show what any tenant has used, as its own people see it."""
    tenant = get_tenant(services.db, TenantId.parse(tenant_id)).id
    asked = _question(services, tenant, since, until, group)
    return _file(services, asked) if format == "csv" else _page(services, asked, limit, cursor)


@router.get("/api/v1/invoices", response_model=StatementPage, summary="List monthly statements")
@threaded("reads")
def invoices(principal: Analyst, services: WithServices, limit: PageLimit = 50, cursor: PageCursor = None) -> Response:
    """List the tenant's statements, newest first; before them, on the first page, what the running month is so far.

    Without a price list (`RECSAAS_PRICES`) there are none but those made earlier.
    """
    place = _STATEMENTS.place(cursor)
    before = None if place is None else BillingMonth.parse(place)
    with services.db.read() as session:
        found = list_statements(session, principal.tenant, limit=limit + 1, before=before)
        shown, next_cursor = _STATEMENTS.cut(found, limit=limit, key=lambda each: str(each.month))
        running: tuple[Statement, ...] = ()
        if services.prices is not None and cursor is None:
            now = services.clock()
            month = BillingMonth.of(now.date())
            running = (statement_so_far(session, principal.tenant, month, services.prices, now=now),)
    answer = StatementPage(
        statements=tuple(StatementAnswer.of(each) for each in (*running, *shown)), next_cursor=next_cursor
    )
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


@router.get("/api/v1/invoices/{month}", response_model=StatementAnswer, summary="Show a monthly statement")
@threaded("reads")
def invoice(principal: Analyst, services: WithServices, month: str) -> Response:
    """Show the statement of a month, such as 2026-10; that of a month without one as it would be now."""
    wanted = BillingMonth.parse(month)
    now = services.clock()
    with services.db.read() as session:
        found = find_statement(session, principal.tenant, wanted)
        if found is None:
            found = statement_so_far(session, principal.tenant, wanted, _prices(services, wanted), now=now)
    return Response(StatementAnswer.of(found).model_dump_json(by_alias=True), media_type="application/json")


def _prices(services: Services, month: BillingMonth) -> PriceList:
    if services.prices is None or month > BillingMonth.of(services.clock().date()):
        raise NotFound(f"There is no statement for {month}. `GET /api/v1/invoices` lists those that there are.")
    return services.prices


def _question(
    services: Services, tenant: TenantId, since: date | None, until: date | None, groups: list[Group]
) -> UsageQuestion:
    last = services.clock().date() if until is None else until
    try:
        first = last - timedelta(days=_DAYS - 1) if since is None else since
    except OverflowError:
        first = date.min
    if first > last:
        raise invalid_fields([FieldProblem("from", "is after `to`")])
    if (last - first).days >= _MOST_DAYS:
        raise invalid_fields([FieldProblem("from", f"is too early: ask for at most {_MOST_DAYS} days at once")])
    wanted = {"day", "operation"} if not groups else set(groups)
    return UsageQuestion(tenant, first, last, tuple(each for each in GROUPS if each in wanted))


def _page(services: Services, asked: UsageQuestion, limit: int, cursor: str | None) -> Response:
    after = _PAGES.place(cursor)
    if after is not None and len(after) != len(asked.groups):
        raise invalid_fields([FieldProblem("cursor", "is of other groups; leave it out")])
    with services.db.read() as session:
        try:
            found = list(usage_lines(session, asked, after=after, limit=limit + 1))
        except ValueError as error:
            raise invalid_fields([FieldProblem("cursor", "is of other groups; leave it out")]) from error
        total = usage_of(session, asked.tenant, since=asked.since, until=asked.until)
        stored = stored_by(session, asked.tenant, until=asked.until)
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda line: line.place(asked.groups))
    answer = UsagePage(
        tenant_id=asked.tenant.value,
        since=asked.since,
        until=asked.until,
        group=asked.groups,
        total=UsageSums.of(total),
        stored=None if stored is None else StoredNow.of(stored),
        usage=tuple(UsageEntry.of_line(line) for line in shown),
        next_cursor=next_cursor,
    )
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


def _file(services: Services, asked: UsageQuestion) -> Response:
    name = f"usage-{asked.tenant}-{asked.since}-{asked.until}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_csv_parts(services, asked), media_type="text/csv", headers=headers)


def _csv_parts(services: Services, asked: UsageQuestion) -> Iterator[bytes]:
    """Yield the file in parts, each read by itself: no transaction stays open while a client is slow."""
    names = [{"day": "day", "key": "key_id", "operation": "operation"}[group] for group in asked.groups]
    columns = [*names, *UsageSums.model_fields]
    yield ("\ufeff" + ",".join(columns) + "\r\n").encode()
    after: LinePlace | None = None
    while True:
        with services.db.read() as session:
            found = list(usage_lines(session, asked, after=after, limit=_CSV_PART))
        if found:
            yield _csv_rows(found, columns).encode()
        if len(found) < _CSV_PART:
            return
        after = found[-1].place(asked.groups)


def _csv_rows(lines: list[UsageLine], columns: list[str]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for line in lines:
        entry = UsageEntry.of_line(line).model_dump(mode="json")
        writer.writerow([safe_cell(str(entry[name])) for name in columns])
    return buffer.getvalue()
