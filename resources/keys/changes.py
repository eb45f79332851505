"""Changing and rotating API keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypedDict, cast

from resources.access.actor import Actor
from resources.access.key_kinds import KeyKind, KeyTerms, checked_terms
from resources.audit.entries import Change, record
from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.api_keys import (
    ApiKey,
    NewKey,
    audited_key,
    check_an_admin_stays,
    check_key_room,
    check_may_hold,
    held_key,
    key_record,
    new_key,
)
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.tables.keys import ApiKeyRow


class KeyChanges(TypedDict, total=False):
    """What may be changed of a key; what is left out stays, and `expires_at` of None takes the end away."""

    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    addresses: tuple[str, ...]
    origins: tuple[str, ...]


def change_api_key(
    db: ControlDb,
    tenant: TenantId,
    key_id: str,
    changes: KeyChanges,
    *,
    now: datetime,
    by: Actor,
    keep_an_admin: bool = False,
) -> ApiKey:
    """Change what a key is called, may do, or is bound to. Its secret stays.

    Args:
        keep_an_admin: as `revoke_api_key` has it: the last key with the scope `admin` keeps it, and gets no end.

    Raises:
        NotFound: the tenant has no such key.
        Forbidden: it is a key of the platform, which `by` has no hold on.
        InvalidInput: there can be no such key.
        Conflict: it is revoked, over or rotated, or the last one with the scope `admin`.
    """
    with db.write() as session:
        row, status = held_key(session, tenant, key_id)
        check_may_hold(row, by)
        _check_goes_on(row, now)
        before = audited_key(row)
        old = _terms(row)
        terms = checked_terms(replace(old, **changes), now=now)
        if row.rotated_to is not None and _is_later(terms.expires_at, old.expires_at):
            raise Conflict(f"Key {row.id} was rotated, and ends when that said. Use {row.rotated_to} in its place.")
        if keep_an_admin and ("admin" not in terms.scopes or terms.expires_at not in (None, old.expires_at)):
            check_an_admin_stays(session, tenant, row, now=now)
        if terms.expires_at != old.expires_at:
            row.told_days = None
        row.name, row.scopes, row.expires_at = terms.name, list(terms.scopes), terms.expires_at
        row.addresses, row.origins = list(terms.addresses), list(terms.origins)
        if (after := audited_key(row)) != before:
            changed = Change(action="key.change", object_kind="key", object_id=row.id, before=before, after=after)
            record(session, by, changed, tenant=tenant, now=now)
        return key_record(row, status)


def rotate_api_key(
    db: ControlDb,
    tenant: TenantId,
    key_id: str,
    *,
    overlap: timedelta,
    now: datetime,
    by: Actor,
    request: WriteKey | None = None,
) -> NewKey:
    """Make a key that takes the place of another: with its name, scopes and bindings, and as long a life.

    The old one ends after `overlap`, or earlier if it would have anyway. When the request comes again, the key that it
    made is returned, without its secret.

    Raises:
        NotFound: the tenant has no such key.
        Forbidden: it is a key of the platform, which `by` has no hold on.
        Conflict: it is revoked, over or rotated already; or there is no room for two of them.
    """
    with db.write() as session:
        row, status = held_key(session, tenant, key_id)
        if (before := earlier_answer(session, tenant, request)) is not None:
            return NewKey(key_record(*held_key(session, tenant, before["key_id"])), None)
        check_may_hold(row, by)
        _check_goes_on(row, now)
        if row.rotated_to is not None:
            raise Conflict(f"Key {row.id} was rotated already. Use {row.rotated_to} in its place, or rotate that one.")
        if overlap:
            check_key_room(session, tenant, now=now)
        terms = _terms(row)
        if terms.expires_at is not None:
            terms = replace(terms, expires_at=now + (terms.expires_at - row.created_at))
        new, secret = new_key(session, tenant, terms, now=now, by=by)
        was = audited_key(row)
        end = now + overlap
        row.expires_at = end if row.expires_at is None else min(end, row.expires_at)
        row.rotated_to = new.id
        remember_answer(session, tenant, request, {"key_id": new.id}, now=now)
        after = {**audited_key(row), "rotated_to": new.id, "new_begins_with": new.prefix}
        rotated = Change(action="key.rotate", object_kind="key", object_id=row.id, before=was, after=after)
        record(session, by, rotated, tenant=tenant, now=now)
        return NewKey(key_record(new, status), secret)


def _is_later(end: datetime | None, than: datetime | None) -> bool:
    return than is not None and (end is None or end > than)


def _check_goes_on(row: ApiKeyRow, now: datetime) -> None:
    status = key_record(row, "").status_at(now)
    if status != "active":
        raise Conflict(f"Key {row.id} is {status}, and stays so. Make a new key in its place.")


def _terms(row: ApiKeyRow) -> KeyTerms:
    return KeyTerms(
        name=row.name,
        scopes=tuple(row.scopes),
        kind=cast(KeyKind, row.kind),
        expires_at=row.expires_at,
        addresses=tuple(row.addresses),
        origins=tuple(row.origins),
    )
