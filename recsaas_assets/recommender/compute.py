"""With what a fit is done; it changes how long a fit takes, and its result only by rounding."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from recsaas_assets.recommender.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Compute:
    """One device, or several processes for a fit that is large enough (`data_parallel.processes_for`)."""

    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    processes: int = 1
    scratch: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    """Folder for what several processes share while they work."""
    checkpoint: Checkpoint | None = None
    """Where a long fit in one process keeps its state, to go on from after a kill."""
