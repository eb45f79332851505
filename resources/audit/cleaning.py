"""What may stand in an entry: no secrets, nothing that a database cannot store, and no more than a person reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

SECRETS = ("password", "secret", "token", "hash", "api_key", "private_key")
"""Fields whose names hold one of these are left out of what was before and after."""
SECRET_NAMES = frozenset({"code", "codes", "recovery_codes", "otp", "totp", "authorization", "cookie"})
"""And those whose names are one of these."""
MAX_LIST = 20
"""Values of a list that are kept; the rest is counted."""
MAX_TEXT = 500
"""Characters of a text within what was before and after."""
_LEFT_OUT = "(left out)"
_DEPTH = 8
_A_SECRET = re.compile(
    r"\b(?:sk|pk|rt)_(?:live|test)_[\w-]{8,}"  # API keys
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"  # JSON Web Tokens
    r"|\bwhsec_[\w+/=-]{8,}"  # of webhooks
)


def cleaned(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the fields as JSON without secrets: none by the field's name, and none that looks like one of ours."""
    if fields is None:
        return None
    plain: dict[str, Any] = json.loads(json.dumps(fields, default=str))
    return _fields(plain, _DEPTH)


def storable(text: str, most: int) -> str:
    """Return a text of at most `most` characters, with none that PostgreSQL or UTF-8 refuse, and no secret of ours."""
    kept = _A_SECRET.sub(_LEFT_OUT, text.replace("\0", "\ufffd").encode(errors="replace").decode())
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def _is_secret(name: str) -> bool:
    name = name.lower().replace("-", "_")
    return name in SECRET_NAMES or any(word in name for word in SECRETS)


def _fields(fields: Mapping[str, Any], depth: int) -> dict[str, Any]:
    return {
        storable(name, MAX_TEXT): _LEFT_OUT if _is_secret(name) else _value(value, depth)
        for name, value in fields.items()
    }


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return storable(value, MAX_TEXT)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list) and not depth:
        return "(nested too deep)"
    if isinstance(value, dict):
        return _fields(value, depth - 1)
    if isinstance(value, list):
        kept = [_value(each, depth - 1) for each in value[:MAX_LIST]]
        return kept if len(value) <= MAX_LIST else [*kept, f"(and {len(value) - MAX_LIST:,} more)"]
    return value
