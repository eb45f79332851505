"""Settings as people may see them: without passwords."""

from __future__ import annotations

import re

MASK = "***"
_SECRET_NAME = re.compile(r"secret|password|token|credential|(^|_)key$", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
_PARAMETER = re.compile(r"(?<=[?&;])(\w*(?:password|passwd|secret|token|key)\w*)=[^&;#]*", re.IGNORECASE)


def masked(name: str, value: object) -> object:
    """Return the value of a setting with what is secret masked: all of it by its name, or the password of a URL."""
    if not isinstance(value, str) or not value:
        return value
    if _SECRET_NAME.search(name):
        return MASK
    return _PARAMETER.sub(rf"\1={MASK}", _USER_INFO.sub(_without_password, value))


def _without_password(found: re.Match[str]) -> str:
    user, colon, _ = found[0].rpartition("@")[0].partition(":")
    return f"{user}{colon}{MASK if colon else ''}@"
