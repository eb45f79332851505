"""The most memory that a process has had."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
from resources.processes.memory import peak_memory_bytes
figures = [peak_memory_bytes()]
needed = b"x" * 100_000_000
figures.append(peak_memory_bytes())
del needed
figures.append(peak_memory_bytes())
print(*figures)
"""


def test_the_peak_grows_with_what_is_needed_and_does_not_fall_with_what_is_let_go() -> None:
    # In a process of its own: this one may have had more at some time than the test would need.
    told = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout
    before, peak, after = map(int, told.split())
    assert 5_000_000 < before < 200_000_000
    assert 90_000_000 < peak - before < 200_000_000
    assert abs(after - peak) < 2_000_000
