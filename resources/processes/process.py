"""What every process of ours does first: its files are its user's alone, and no library reports on it."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import sys
from pathlib import Path

NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",  # dbt, and others that follow the custom
    "BENTOML_DO_NOT_TRACK": "True",
    "DAGSTER_DISABLE_TELEMETRY": "1",
}
"""Variables with which BentoML, dbt and Dagster send nothing about their use."""
_PR_SET_PDEATHSIG = 1
_PRIVATE, _OF_OTHERS = 0o700, 0o077


def begin_process() -> None:
    """Make new files readable by this user alone, and switch the libraries' telemetry off, here and in all children.

    To be called before anything writes a file or imports BentoML, dbt or Dagster.
    """
    os.umask(_OF_OTHERS)
    set_variables(**NO_TELEMETRY)


def set_variables(**variables: str) -> None:
    """Set what libraries read from the environment and take in no other way."""
    os.environ.update(variables)


def private_folder(folder: Path) -> bool:
    """Make the folder where it is missing, and take from others what they may do in it; tell whether they could.

    A folder of another user is left as it is: `recsaas doctor` tells.
    """
    folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    found = folder.stat()
    if not found.st_mode & _OF_OTHERS or found.st_uid != os.geteuid():
        return False
    folder.chmod(stat.S_IMODE(found.st_mode) & ~_OF_OTHERS)
    return True


def end_with_parent(by: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel end this process, `by` a signal, when the thread that started it ends, even by kill −9.

    On Linux; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
