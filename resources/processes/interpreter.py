"""Work in a process of its own, behind everything else in the queue for the processor.

The service goes on to answer at its usual speed, all memory of the work goes back to the system, and what kills the
work kills nothing else. The child's standard input is a pipe that nobody writes to: it ends when the parent wants the
child to stop, and when the parent dies, however that happens.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

STOP_SECONDS = 20.0
"""How long a child that is to stop may take to put its work back, before it ends itself."""
NICENESS = 10
"""A tenth of the processor where answers want all of it. With 19 a child on a busy machine hardly gets to its work, and
might not even renew its claim in time."""
_LISTEN_SECONDS = 0.5
_HANG_SECONDS = 120.0
"""How long after the wish to stop a child is taken to hang: on a busy machine its start alone may take long."""
# The child finds this package where the parent did, also in a Bento, whose folder is not the working one. It steps back
# before it imports anything: threads that numpy starts then would keep the place in the queue they were born with.
_START = (
    "import os, sys; os.nice(int(sys.argv.pop(1))); sys.path.insert(0, sys.argv.pop(1)); "
    "from importlib import import_module; import_module(sys.argv.pop(1)).main(*sys.argv[1:])"
)


class ChildBroke(Exception):
    """The child died, or ended with an error that it did not expect; the message is what it said."""


def run_in_child(module: str, arguments: Sequence[str], *, stop: threading.Event) -> Any:
    """Call `main` of a module of ours with these arguments in a child, and return the JSON that it wrote.

    `stop` makes the child stop early, if it listens as `stopped_with_parent` does; one that does not is killed.

    Raises:
        ChildBroke: there is no outcome.
    """
    package = str(Path(__file__).absolute().parents[2])
    listening, held = os.pipe()
    with open(held, "wb") as lifeline:
        try:
            child = subprocess.Popen(
                [sys.executable, "-c", _START, str(NICENESS), package, module, *arguments],
                stdin=listening,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a key press that stops the service is not for the child
            )
        finally:
            os.close(listening)
        # Linux shares the processor between sessions first, where it groups by them, and only then by niceness.
        with suppress(OSError):
            Path(f"/proc/{child.pid}/autogroup").write_text(str(NICENESS))
        kill_at = math.inf
        while True:
            try:
                answer, said = child.communicate(timeout=_LISTEN_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set() and not lifeline.closed:
                    lifeline.close()
                    kill_at = time.monotonic() + _HANG_SECONDS
                if time.monotonic() > kill_at:  # it hangs, or is itself stopped
                    child.kill()
    if child.returncode != 0:
        raise ChildBroke(f"exit status {child.returncode}: {said.decode(errors='replace')[-4000:]}")
    return json.loads(answer)


def stopped_with_parent() -> threading.Event:
    """For the child: an event that is set when it is to stop. If it has not by then, it ends `STOP_SECONDS` later."""
    stop = threading.Event()

    def listen() -> None:
        os.read(sys.stdin.fileno(), 1)
        stop.set()
        time.sleep(STOP_SECONDS)
        os._exit(1)  # the claim ends by itself

    threading.Thread(target=listen, daemon=True).start()
    return stop
