"""Signatures of webhooks, by the specification of Standard Webhooks 1.0, for which most languages have a library.

The signed text is `<id>.<timestamp>.<body>`, the signature `v1,<base64 of HMAC-SHA256>`, the secret `whsec_<base64>`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

from resources.base.errors import InvalidInput, Unauthenticated

ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
REPLAY_SECONDS = 300
"""A receiver refuses what was signed longer ago, or so far in the future."""
_PREFIX = "whsec_"


def new_secret() -> str:
    """Return a secret of 256 random bits."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(message_id: str, body: bytes, keys: Sequence[str], *, now: datetime) -> dict[str, str]:
    """Return the headers of a message; with several secrets, while one replaces another, each signs."""
    timestamp = str(int(now.timestamp()))
    signatures = " ".join(_signature(message_id, timestamp, body, key) for key in keys)
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signatures}


def verify(headers: Mapping[str, str], body: bytes, key: str, *, now: datetime) -> None:
    """Check that whoever has `key` has sent this message, and not long ago. `headers` have names in lower case.

    Raises:
        Unauthenticated: a header is missing, no signature fits, or the message is too old or from the future.
    """
    message_id, timestamp = headers.get(ID_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
    if not timestamp.isascii() or not timestamp.isdecimal():
        raise Unauthenticated(f"The header {TIMESTAMP_HEADER} has to be seconds since 1970.")
    if abs(now.timestamp() - int(timestamp)) > REPLAY_SECONDS:
        raise Unauthenticated(f"The message was signed more than {REPLAY_SECONDS} s from now; is the clock right?")
    wanted = _signature(message_id, timestamp, body, key)
    given = headers.get(SIGNATURE_HEADER, "").split(" ")
    if not any(hmac.compare_digest(wanted.encode(), each.encode()) for each in given):
        raise Unauthenticated("No signature fits this message and this secret.")


def _signature(message_id: str, timestamp: str, body: bytes, key: str) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_key(key), signed, hashlib.sha256).digest()).decode()


def _key(text: str) -> bytes:
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise InvalidInput(f"A secret of a webhook reads {_PREFIX}, and base64 after it.") from error
