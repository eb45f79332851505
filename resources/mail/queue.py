"""Putting a mail into the queue, in the transaction that is the reason for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.people import MailRow


def queue_mail(
    session: Session,
    recipient: str,
    template: str,
    values: Mapping[str, object],
    *,
    tenant: TenantId | None,
    now: datetime,
) -> str:
    """Queue a mail of `templates/<template>.txt`, whose first line is the subject; return its id."""
    subject, _, body = _templates().get_template(f"{template}.txt").render(values).partition("\n")
    row = MailRow(
        id=f"mail-{secrets.token_hex(8)}",
        tenant_id=None if tenant is None else tenant.value,
        recipient=recipient,
        template=template,
        subject=" ".join(subject.split())[:255],
        body=body.strip() + "\n",
        attempts=0,
        created_at=now,
        not_before=now,
    )
    session.add(row)
    return row.id


def mails_of_late(session: Session, recipient: str, template: str, *, tenant: TenantId | None, now: datetime) -> int:
    """How many mails of a template an address was sent within the hour, for a tenant or for none."""
    lately = (
        MailRow.tenant_id.is_(None) if tenant is None else MailRow.tenant_id == tenant.value,
        MailRow.recipient == recipient,
        MailRow.template == template,
        MailRow.created_at > now - timedelta(hours=1),
    )
    return session.scalar(select(func.count()).select_from(MailRow).where(*lately)) or 0


@cache
def _templates() -> Environment:
    # Mails are plain text, so nothing is escaped; a value that is not given is an error.
    return Environment(  # nosec B701
        loader=PackageLoader("resources.mail"), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
