"""Access tokens and the keys that sign them: what is forged is refused, and rotation stops nobody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import func, select

from resources.access.actor import SYSTEM
from resources.base.errors import Unauthenticated
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.sessions import SigningKeyRow
from resources.sessions.access_tokens import (
    AUDIENCE,
    ISSUER,
    Claims,
    checked_claims,
    claims_from,
    looks_like_a_token,
    signed,
)
from resources.sessions.signing_keys import TOKEN_SECONDS, SigningKey, SigningKeys, rotate_signing_key

pytestmark = pytest.mark.databases


@pytest.fixture
def keys(db: ControlDb) -> SigningKeys:
    return SigningKeys(db, days=30)


@pytest.fixture
def key(keys: SigningKeys, now: datetime) -> SigningKey:
    return keys.signer(now)


def said(now: datetime, **changes: Any) -> dict[str, Any]:
    claims = claims_from(now, member_id="mem-1", version=1, shop=("blue", "viewer"))
    return {**claims.model_dump(exclude_none=True), "iss": ISSUER, "aud": AUDIENCE, **changes}


def refused(token: str, keys: SigningKeys, now: datetime) -> str:
    with pytest.raises(Unauthenticated) as error:
        checked_claims(token, keys.find, now=now)
    assert token not in error.value.message
    return error.value.message


def test_a_token_says_what_it_was_made_with(keys: SigningKeys, key: SigningKey, now: datetime) -> None:
    claims = claims_from(now, member_id="mem-1", version=3, shop=("blue", "viewer"), session_id="fam-1")
    token = signed(claims, key)
    assert looks_like_a_token(token) and not looks_like_a_token("sk_live_x")
    assert checked_claims(token, keys.find, now=now) == claims
    assert (claims.exp - claims.iat, claims.tenant, claims.role) == (TOKEN_SECONDS, "blue", "viewer")
    assert signed(claims_from(now, member_id="mem-1", version=3), key) != signed(
        claims_from(now, member_id="mem-1", version=3), key
    )
    header, payload, _ = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "EdDSA", "kid": key.id, "typ": "JWT"}
    assert {"sub", "tenant", "role", "ver", "iat", "exp", "jti", "iss", "aud"} <= set(
        json.loads(base64.urlsafe_b64decode(payload + "=="))
    )


def test_a_token_runs_out(keys: SigningKeys, key: SigningKey, now: datetime) -> None:
    token = signed(claims_from(now, member_id="mem-1", version=1), key)
    checked_claims(token, keys.find, now=now + timedelta(seconds=TOKEN_SECONDS - 1))
    assert "run out" in refused(token, keys, now + timedelta(seconds=TOKEN_SECONDS))
    early = signed(claims_from(now + timedelta(minutes=2), member_id="mem-1", version=1), key)
    refused(early, keys, now)


def _part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def test_what_is_forged_is_refused(keys: SigningKeys, key: SigningKey, now: datetime) -> None:
    good = signed(claims_from(now, member_id="mem-1", version=1), key)
    header, payload, signature = good.split(".")
    other = Ed25519PrivateKey.generate()
    raw = key.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = [
        f"{_part({'alg': 'none', 'kid': key.id})}.{_part(said(now))}.",
        f"{_part({'alg': 'NONE', 'kid': key.id})}.{_part(said(now))}.{signature}",
        jwt.encode(said(now), other, "EdDSA", {"kid": key.id}),
        jwt.encode(said(now), other, "EdDSA", {"kid": "key-unknown"}),
        jwt.encode(said(now), key.private, "EdDSA"),
        f"{header}.{_part(said(now, sub='mem-2'))}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        "eyJ",
        "eyJ.eyJ.eyJ",
        f"{_part({'alg': 'EdDSA', 'kid': 7})}.{payload}.{signature}",
    ]
    for secret in (raw, pem):  # HS256 with the public key for a secret, which every holder of a token could know
        head = f"{_part({'alg': 'HS256', 'kid': key.id})}.{_part(said(now))}"
        forged.append(f"{head}.{_part(hmac.new(secret, head.encode(), hashlib.sha256).digest())}")
    for token in forged:
        refused(token, keys, now)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-service"},
        {"aud": None},
        {"iss": "somebody"},
        {"sub": 7},
        {"ver": "x"},
        {"exp": "soon"},
        {"tenant": ["blue"]},
        {"act": "blue"},
    ],
)
def test_what_we_would_not_say_is_refused(
    keys: SigningKeys, key: SigningKey, now: datetime, changes: dict[str, Any]
) -> None:
    claims = {name: value for name, value in said(now, **changes).items() if value is not None}
    try:
        token = jwt.encode(claims, key.private, "EdDSA", {"kid": key.id})
    except TypeError:
        token = f"{_part({'alg': 'EdDSA', 'kid': key.id})}.{_part(claims)}"
        token = f"{token}.{_part(key.private.sign(token.encode()))}"
    refused(token, keys, now)


@pytest.mark.parametrize("left_out", ["sub", "ver", "iat", "exp", "jti", "iss", "aud"])
def test_what_leaves_something_out_is_refused(keys: SigningKeys, key: SigningKey, now: datetime, left_out: str) -> None:
    claims = {name: value for name, value in said(now).items() if name != left_out}
    refused(jwt.encode(claims, key.private, "EdDSA", {"kid": key.id}), keys, now)


def test_rotation_stops_nobody(db: ControlDb, keys: SigningKeys, key: SigningKey, now: datetime) -> None:
    token = signed(claims_from(now, member_id="mem-1", version=1), key)
    elsewhere = SigningKeys(db, days=30)
    with db.write() as session:
        made = rotate_signing_key(session, by=SYSTEM, now=now)
    assert elsewhere.signer(now).id == keys.signer(now).id == made != key.id
    checked_claims(token, keys.find, now=now + timedelta(seconds=TOKEN_SECONDS - 1))
    # The key is gone when no token of it can be valid, and a new one is there.
    later = now + timedelta(seconds=TOKEN_SECONDS + 61)
    refused(signed(claims_from(later, member_id="mem-1", version=1), key), keys, later)
    with db.write() as session:
        rotate_signing_key(session, by=SYSTEM, now=later)
    with db.read() as session:
        assert key.id not in session.scalars(select(SigningKeyRow.id)).all()
        actions = session.scalars(select(AuditRow.action)).all()
        assert actions == ["signing_key.rotate"] * 3


def test_keys_that_somebody_knows_end_at_once(db: ControlDb, keys: SigningKeys, key: SigningKey, now: datetime) -> None:
    token = signed(claims_from(now, member_id="mem-1", version=1), key)
    with db.write() as session:
        rotate_signing_key(session, by=SYSTEM, now=now, end_tokens=True)
    with db.read() as session:
        keys.refresh(session)
        assert session.scalar(select(func.count()).select_from(SigningKeyRow)) == 1
    refused(token, keys, now)


def test_a_key_is_replaced_when_it_is_old(db: ControlDb, keys: SigningKeys, key: SigningKey, now: datetime) -> None:
    assert keys.signer(now + timedelta(days=29)).id == key.id
    newer = keys.signer(now + timedelta(days=30))
    assert newer.id != key.id
    assert SigningKeys(db, days=30).signer(now + timedelta(days=30)).id == newer.id


def test_no_secret_is_in_the_text_of_a_key(key: SigningKey, now: datetime) -> None:
    assert "PRIVATE" not in repr(key)
    assert Claims.model_validate(said(now)).act is None
