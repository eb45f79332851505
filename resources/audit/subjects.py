"""What stands in the audit log for a shopper: a keyed hash of the id, since entries outlive an erasure."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy.orm import Session

from resources.audit.entries import subject_key
from resources.base.tenant import TenantId


def subject_of(session: Session, tenant: TenantId, user_id: str) -> str:
    """HMAC-SHA256 of a shopper's id under the key of the tenant's chain: finds entries by the id, and never shows it.

    The key is in the control DB and leaves it nowhere: whoever has the whole database can try ids.
    """
    return hmac.new(subject_key(session, tenant), user_id.encode(), hashlib.sha256).hexdigest()
