"""Keys that sign access tokens: Ed25519, kept in the control DB, so that every worker and machine has the same ones."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import ConfigurationError
from resources.control_db.engine import ControlDb
from resources.control_db.tables.sessions import SigningKeyRow
from resources.databases.locks import wait_for_turn

ALGORITHM = "EdDSA"
TOKEN_SECONDS = 900
"""How long an access token is valid."""
_SLACK = timedelta(seconds=60)
"""By how much clocks of machines may differ, and how long a worker may take to pick a new key up."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key; `id` is the `kid` of tokens."""

    id: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    created_at: datetime
    retired_at: datetime | None

    def checks_at(self, now: datetime) -> bool:
        """Tell whether tokens that the key has signed may still be valid."""
        return self.retired_at is None or now < self.retired_at + timedelta(seconds=TOKEN_SECONDS) + _SLACK


class SigningKeys:
    """The keys of an installation, as they were when they were last read.

    Args:
        days: the age at which a key is replaced by a new one when the next token is signed.
    """

    def __init__(self, db: ControlDb, *, days: int) -> None:
        self._db = db
        self._age = timedelta(days=days)
        self._keys: Mapping[str, SigningKey] = MappingProxyType({})
        self._lock = Lock()

    def find(self, kid: str) -> SigningKey | None:
        """Return a key by its id, without asking the control DB."""
        return self._keys.get(kid)

    def refresh(self, session: Session) -> None:
        """Read the keys anew."""
        rows = session.scalars(select(SigningKeyRow)).all()
        with self._lock:
            self._keys = MappingProxyType({row.id: _key(row) for row in rows})

    def signer(self, now: datetime) -> SigningKey:
        """Return the key to sign with; reads the control DB, and makes a key where there is none that is young enough.

        Raises:
            ConfigurationError: the key cannot be read.
        """
        with self._db.read() as session:
            self.refresh(session)
        newest = self._newest()
        if newest is None or now - newest.created_at >= self._age:
            with self._db.write() as session:
                wait_for_turn(session.connection(), "signing keys")
                self.refresh(session)  # another worker may have made one meanwhile
                newest = self._newest()
                if newest is None or now - newest.created_at >= self._age:
                    rotate_signing_key(session, by=SYSTEM, now=now)
                    self.refresh(session)
        found = self._newest()
        if found is None:
            raise ConfigurationError("There is no key to sign tokens with; run `recsaas office rotate-signing-key`.")
        return found

    def _newest(self) -> SigningKey | None:
        usable = [key for key in self._keys.values() if key.retired_at is None]
        return max(usable, key=lambda key: (key.created_at, key.id), default=None)


def rotate_signing_key(session: Session, *, by: Actor, now: datetime, end_tokens: bool = False) -> str:
    """Make a new key, and let the others only check what they have signed; return its id.

    Keys whose last token has run out are removed. With `end_tokens` the others are removed at once, as when one of them
    is known to somebody: every access token ends within 5 s, and clients get a new one by their refresh token.
    """
    for row in session.scalars(select(SigningKeyRow)).all():
        row.retired_at = row.retired_at or now
        if end_tokens or not _key(row).checks_at(now):
            session.execute(delete(SigningKeyRow).where(SigningKeyRow.id == row.id))
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    made = SigningKeyRow(
        id=f"key-{secrets.token_hex(6)}", algorithm=ALGORITHM, private_key=pem, created_at=now, retired_at=None
    )
    session.add(made)
    session.flush()
    after = {"ended_earlier": end_tokens}
    change = Change(action="signing_key.rotate", object_kind="signing_key", object_id=made.id, after=after)
    record(session, by, change, tenant=None, now=now)
    return made.id


def _key(row: SigningKeyRow) -> SigningKey:
    private = _loaded(row.private_key)
    return SigningKey(row.id, private, private.public_key(), row.created_at, row.retired_at)


@lru_cache(maxsize=64)
def _loaded(pem: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError("A key to sign tokens with is no Ed25519 key; `recsaas office rotate-signing-key`.")
    return key
