"""Headers of the HTML pages: what a page may load and do, and who may frame it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_NOBODY_ELSE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_COMMON = {"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY"}
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)

SHOP = {
    **_COMMON,
    "Content-Security-Policy": f"default-src 'self'; img-src 'self' https: data:; {_NOBODY_ELSE}",
}
"""The demo shop: its own files, and pictures from wherever the catalogue says."""

DATA_DOCS = {
    **_COMMON,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
        f"img-src data:; font-src data:; {_NOBODY_ELSE}"
    ),
}
"""dbt's page: one file with everything in it, whose framework needs both `unsafe` words. It loads and sends nothing."""


@cache
def of_page(page: Path) -> Mapping[str, str]:
    """Return the headers of a page of ours: it may run the scripts that are in it, and talk to this service alone."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page.read_text(encoding="utf-8")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    allowed = "; ".join(f"{kind}-src {' '.join(found)}" for kind, found in hashes.items())
    return {**_COMMON, "Content-Security-Policy": f"default-src 'none'; connect-src 'self'; {allowed}; {_NOBODY_ELSE}"}
