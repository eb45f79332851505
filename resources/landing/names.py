"""Names of dropped files: as text, of the note beside a refused one, and the refusal of a file with two of them."""

from __future__ import annotations

import os

from resources.base.errors import UploadRefused

NOTICE = ".why.json"
"""Ending of the note beside a refused file that tells its sender the reason."""
_LONGEST_NAME = 200


def several_names(name: str) -> UploadRefused:
    """The refusal of a file that others can reach or own under another name."""
    return UploadRefused(
        "linked_file",
        f"{shown(name)} has a second name elsewhere (a hard link), so it may be somebody else's. Drop a copy of it.",
    )


def shown(name: str) -> str:
    """A file name as text that can be stored, logged and printed: a disk takes any bytes but `/`."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def notice_name(name: str) -> str:
    """Name of the note beside the file of this name."""
    return os.fsdecode(os.fsencode(name)[:_LONGEST_NAME]) + NOTICE
