"""Who did something, as the audit log names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ActorKind = Literal["key", "member", "office", "command", "system"]
Source = Literal["api", "page", "command", "pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever changes something.

    Attributes:
        kind: an API key, a member of a shop, somebody of the office, the command line, or the platform by itself.
        id: of the key or member; `command` has the name of the system's user, `system` of the part that did it.
        name: for people: the key's name, the member's e-mail.
        acting_for: the member for whom somebody of the office acts, and `reason` why.
        source: the way in.
    """

    kind: ActorKind
    id: str
    name: str
    source: Source
    acting_for: str | None = None
    reason: str | None = None
    address: str | None = None
    request_id: str | None = None


SYSTEM = Actor(kind="system", id="recsaas", name="recsaas", source="pipeline")
"""What the platform does by itself."""


def run_actor(run_id: str) -> Actor:
    """A run of the pipeline."""
    return Actor(kind="system", id=f"run {run_id}", name=f"run {run_id}", source="pipeline")
