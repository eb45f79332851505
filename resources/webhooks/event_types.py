"""What a shop's own programs can be told, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

EventType = Literal[
    "upload.checked",
    "training.finished",
    "release.live",
    "release.held",
    "quota.reached",
    "key.expiring",
    "usage.statement",
    "webhook.test",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
MEANING: Mapping[EventType, str] = MappingProxyType(
    {
        "upload.checked": "A file was checked and stored: rows accepted, rejected and repeated.",
        "training.finished": "A run of the pipeline has ended: completed, failed or cancelled, and why.",
        "release.live": "Another release answers from now on.",
        "release.held": "A new release was made and does not answer, with the reasons.",
        "quota.reached": "A limit of the plan is used up by 80 % or by 100 %.",
        "key.expiring": "An API key ends soon.",
        "usage.statement": "The statement of a month is made.",
        "webhook.test": "Nothing has happened: somebody tries the endpoint.",
    }
)
"""What each says, for the documentation."""
