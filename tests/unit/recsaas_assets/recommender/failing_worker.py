"""Stands in for a training process: one is killed, or all fail and the first only says that it lost the others."""

from __future__ import annotations

import os
import signal
import sys
import time


def main(rank: int, how: str) -> None:
    if rank == 0:
        sys.stdout.write('[1, 9, 0.5, 0.0, {"ndcg@10": 0.25}]\n')
        sys.stdout.flush()
        if how == "raise":
            raise SystemExit("RuntimeError: Connection closed by peer [127.0.0.1]")
    elif how == "raise":
        raise SystemExit("ValueError: something is odd")
    elif how == "kill" and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


if __name__ == "__main__":
    with open(os.path.join(os.path.dirname(sys.argv[1]), "how"), encoding="utf-8") as file:
        main(int(sys.argv[2]), file.read())
