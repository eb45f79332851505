"""The pointer `current.json`: which release is live, and who moved it when and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from upath import UPath

from resources.base.errors import CorruptRelease, NotFound
from resources.storage.lake import read_bytes, write_bytes, write_bytes_if_unchanged

POINTER = "current.json"
_MARKER = ".promoted"
_HISTORY_LIMIT = 200


class PointerMove(BaseModel):
    """One promotion or rollback. `forced`: the gate had refused the release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["promote", "rollback"]
    version: str
    replaced: str | None
    at: AwareDatetime
    actor: str
    reason: str = ""
    forced: bool = False


class Pointer(BaseModel):
    """The live version and the newest 200 moves, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    promoted_at: AwareDatetime
    history: tuple[PointerMove, ...]

    def previous(self) -> str:
        """Return the version that a rollback makes live.

        Two rollbacks in a row go two releases back: the moves are undone like a stack, not swapped.

        Raises:
            NotFound: nothing was live before.
        """
        stack: list[str] = []
        for move in self.history:
            if move.action == "rollback":
                below = stack[:-1]
                stack = below if below and below[-1] == move.version else [move.version]
                continue
            if not stack and move.replaced is not None:  # older moves were cut off
                stack.append(move.replaced)
            stack.append(move.version)
        if len(stack) < 2:
            raise NotFound(
                f"no release was live before {self.version}, so there is nothing to roll back to; "
                "promote a version by its name instead."
            )
        return stack[-2]

    def renamed(self, versions: Mapping[str, str]) -> Pointer:
        """Return the same pointer and history with other names of releases, by their names now."""
        history = tuple(
            move.model_copy(
                update={
                    "version": versions.get(move.version, move.version),
                    "replaced": versions.get(move.replaced, move.replaced) if move.replaced else None,
                }
            )
            for move in self.history
        )
        return self.model_copy(update={"version": versions.get(self.version, self.version), "history": history})


def moved(pointer: Pointer | None, move: PointerMove) -> Pointer:
    """Return the pointer after `move`."""
    history = (*(pointer.history if pointer else ()), move)[-_HISTORY_LIMIT:]
    return Pointer(version=move.version, promoted_at=move.at, history=history)


def read_pointer(releases: UPath, *, tenant: str) -> Pointer | None:
    """Read the pointer in the folder `releases`; `None` when no release was ever promoted. Costs one small read.

    Raises:
        CorruptRelease: there was a pointer and it is gone, or it cannot be read.
    """
    try:
        return Pointer.model_validate_json(read_bytes(releases / POINTER))
    except FileNotFoundError as error:
        if not (releases / _MARKER).exists():
            return None
        raise CorruptRelease(f"tenant {tenant}: {POINTER} is missing. {_repair(tenant)}") from error
    except ValidationError as error:
        raise CorruptRelease(f"tenant {tenant}: {POINTER} cannot be read. {_repair(tenant)}") from error


def write_pointer(releases: UPath, pointer: Pointer, mark: str | None) -> None:
    """Replace the pointer in one step: a reader sees the old one or the new one.

    The marker is written afterwards and tells a lost pointer from a tenant that never had one.

    Args:
        mark: what `mark_of` said of the pointer that was read before this one was made.

    Raises:
        Conflict: another machine has moved the pointer since; nothing was changed.
    """
    write_bytes_if_unchanged(releases / POINTER, pointer.model_dump_json(indent=2).encode() + b"\n", mark)
    if not (releases / _MARKER).exists():
        write_bytes(releases / _MARKER, b"")


def _repair(tenant: str) -> str:
    return f"List the releases of {tenant} and promote one by its version; that writes the pointer anew."
