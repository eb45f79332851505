"""What a search for one user's data finds: where, how much, and how it is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.decisions.store import DecisionStore
from resources.storage.lake import Lake, TenantLake


class UserData(BaseModel):
    """Data of the user in one place. `rows` are the user's; `done` says what became of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    rows: int
    done: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A finding that is still there. `remove` may be called again after a crash in the middle of it."""

    finding: UserData
    remove: Callable[[], object]
    retrain: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A user whose data is looked for, and where. `work_id` names new files: the same work again writes the same."""

    lake: Lake
    db: ControlDb
    decisions: DecisionStore
    tenant: TenantId
    user_id: str
    work_id: str

    @property
    def folder(self) -> TenantLake:
        """The tenant's part of the lake."""
        return self.lake.tenant(self.tenant)


def merged(earlier: Iterable[UserData], later: Iterable[UserData]) -> tuple[UserData, ...]:
    """One finding per place, with the most rows that were ever seen there: a second look sees what is left."""
    found: dict[str, UserData] = {}
    for finding in (*earlier, *later):
        known = found.get(finding.place)
        if known is None or known.rows < finding.rows:
            found[finding.place] = finding
    return tuple(found[place] for place in sorted(found))
