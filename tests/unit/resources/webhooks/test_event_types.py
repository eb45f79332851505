"""What webhooks say of each event is in the documentation."""

from __future__ import annotations

from pathlib import Path

from resources.webhooks.event_types import EVENT_TYPES, MEANING


def test_the_documentation_has_every_event() -> None:
    text = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    assert tuple(MEANING) == EVENT_TYPES
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in MEANING.items())
    assert rows in text
