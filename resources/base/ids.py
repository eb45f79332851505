"""Ids that a shop chooses: what they must look like wherever they enter."""

from __future__ import annotations

import unicodedata

MAX_ID_BYTES = 256
"""UTF-8 bytes of an id of a user, an item or a session."""


def checked_id(text: str) -> str:
    """Return an id as the data contract wants it: 1–256 bytes, no control characters, without outer blanks.

    Raises:
        ValueError: it is not such an id.
    """
    text = text.strip()
    if not text:
        raise ValueError("must not be blank")
    if len(text.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        raise ValueError(f"must not be longer than {MAX_ID_BYTES} bytes")
    if text.isprintable():  # as nearly all are: no control characters, without looking at each one
        return text
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise ValueError("must not contain control characters")
    return text
