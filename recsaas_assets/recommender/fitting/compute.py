"""With what a fit is done; it changes how long a fit takes, and its result only by rounding."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch

from recsaas_assets.recommender.fitting.checkpoint import Checkpoint
from resources.base.errors import ConfigurationError


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


def device_named(name: str) -> str:
    """``cpu`` or ``cuda`` for one of these or ``auto``, which is a GPU when torch sees one.

    Raises:
        ConfigurationError: ``cuda`` was asked for and there is none.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ConfigurationError(
            "RECSAAS_TRAINING_DEVICE is cuda, and torch sees no CUDA device; set it to auto or cpu, or install a build "
            "of torch for CUDA."
        )
    return "cuda" if found and name != "cpu" else "cpu"
