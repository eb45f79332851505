"""Everybody who has an account, for those who run the platform; and those of one shop, for its admins."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow, MembershipRow
from resources.people.members import Member


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, with (tenant, role) of the shops that whoever asks may know of."""

    member: Member
    shops: tuple[tuple[str, str], ...]


def list_people(
    session: Session, tenant: TenantId | None, *, limit: int, after: str | None = None
) -> tuple[Person, ...]:
    """Return `limit` people by id, those of one shop or of all, from behind the id `after`."""
    people = select(MemberRow).order_by(MemberRow.id).limit(limit)
    shops = select(MembershipRow).order_by(MembershipRow.created_at, MembershipRow.tenant_id)
    if tenant is not None:
        people = people.join(MembershipRow, MembershipRow.member_id == MemberRow.id)
        people = people.where(MembershipRow.tenant_id == tenant.value)
        shops = shops.where(MembershipRow.tenant_id == tenant.value)
    if after is not None:
        people = people.where(MemberRow.id > after)
    found = [Member.of(row) for row in session.scalars(people)]
    of_member: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in session.scalars(shops.where(MembershipRow.member_id.in_([each.id for each in found]))):
        of_member[row.member_id].append((row.tenant_id, row.role))
    return tuple(Person(each, tuple(of_member[each.id])) for each in found)
