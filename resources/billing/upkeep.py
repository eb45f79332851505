"""What is done for usage again and again, by one process of an installation at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event

from sqlalchemy import select

from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.billing.prices import PriceList
from resources.billing.samples import measure_stored, store_sample, tenants_sampled
from resources.billing.statements import BillingMonth, Statement, make_statement, note_told, statements_to_tell
from resources.control_db.engine import ControlDb
from resources.control_db.tables.plans import StatementRow
from resources.control_db.tenants import list_tenants
from resources.storage.lake import Lake
from resources.usage.keeping import claim_turn, end_turn, first_day_by_key, forget_batches, roll_up, tenants_to_roll_up

_TURN = "usage"
_AT_WORK = timedelta(minutes=10)
_REST = timedelta(hours=1)
_REST_AFTER_FAILURE = timedelta(minutes=5)
_TOLD_AT_ONCE = 100


class TurnLost(Exception):
    """Another process does it now."""


@dataclass(frozen=True, slots=True)
class UsageUpkeep:
    """Samples of what is stored, statements of the month before, and the roll-up of old usage.

    Attributes:
        holder: the name of this process among those that take turns.
        tell: hands a statement to the platform's billing system, and says whether that took it; None without one.
        stop: set when the process ends: the work is left where it is, and taken up by the next one.
    """

    db: ControlDb
    lake: Lake
    prices: PriceList | None
    clock: Clock
    holder: str
    stop: Event
    tell: Callable[[Statement], bool] | None = None

    def run(self) -> bool:
        """Do what is due, unless another process did it within the hour; tell whether it was done."""
        try:
            self._keep_turn()
            self._sample()
            self._make_statements()
            self._roll_up()
            rest = _REST if self._tell() else _REST_AFTER_FAILURE
            with self.db.write() as session:
                end_turn(session, _TURN, self.holder, until=self.clock() + rest)
        except TurnLost:
            return False
        return True

    def _keep_turn(self) -> None:
        now = self.clock()
        with self.db.write() as session:
            taken = claim_turn(session, _TURN, self.holder, until=now + _AT_WORK, now=now)
        if not taken or self.stop.is_set():
            raise TurnLost

    def _sample(self) -> None:
        day = self.clock().date()
        with self.db.read() as session:
            done = tenants_sampled(session, day)
        for tenant in list_tenants(self.db):
            if tenant.id.value not in done:
                self._keep_turn()
                amounts = measure_stored(self.lake, tenant.id)
                with self.db.write() as session:
                    store_sample(session, tenant.id, day, amounts)

    def _make_statements(self) -> None:
        month = BillingMonth.of(self.clock().date()).before
        if self.prices is None or not month.is_over(self.clock()):
            return
        with self.db.read() as session:
            done = set(session.scalars(select(StatementRow.tenant_id).where(StatementRow.month == str(month))))
        for tenant in list_tenants(self.db):
            if tenant.id.value not in done and BillingMonth.of(tenant.created_at.date()) <= month:
                self._keep_turn()
                self._make_statement(tenant.id, month, self.prices, self.clock())

    def _make_statement(self, tenant: TenantId, month: BillingMonth, prices: PriceList, now: datetime) -> None:
        with self.db.write() as session:
            make_statement(session, tenant, month, prices, now=now)

    def _tell(self) -> bool:
        """Hand over what the billing system has not taken yet; False when it does not take it now."""
        while self.tell is not None:
            with self.db.read() as session:
                waiting = statements_to_tell(session, limit=_TOLD_AT_ONCE)
            if not waiting:
                break
            for statement in waiting:
                self._keep_turn()
                if not self.tell(statement):
                    return False
                with self.db.write() as session:
                    note_told(session, statement, now=self.clock())
        return True

    def _roll_up(self) -> None:
        now = self.clock()
        before = first_day_by_key(now.date())
        with self.db.read() as session:
            tenants = tenants_to_roll_up(session, before)
        for tenant in tenants:
            self._keep_turn()
            with self.db.write() as session:
                roll_up(session, tenant, before)
        with self.db.write() as session:
            forget_batches(session, now=now)
