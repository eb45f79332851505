"""Turns at recurring work: one process has it until a time, or gives it back with the time of the next one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from resources.control_db.tables.jobs import TurnRow
from resources.databases.inserting import insert_into


def end_turn(session: Session, name: str, holder: str, *, until: datetime) -> None:
    """Give the turn back; nobody takes it before `until`."""
    ours = (TurnRow.name == name, TurnRow.holder == holder)
    session.execute(update(TurnRow).where(*ours).values(holder="", until=until))


def hold_turn(session: Session, name: str, holder: str, *, until: datetime, now: datetime) -> bool:
    """Take, or keep, the turn at a recurring piece of work until `until`; False while it is another's."""
    new = insert_into(session.get_bind(), TurnRow).values(name=name, holder=holder, until=until)
    statement = new.on_conflict_do_update(
        index_elements=[TurnRow.name],
        set_={"holder": new.excluded.holder, "until": new.excluded.until},
        where=or_(TurnRow.until <= now, TurnRow.holder == holder),
    ).returning(TurnRow.name)
    return session.execute(statement).first() is not None
