"""One fit by several processes of this machine, each with a share of the users; torch.distributed makes their sums.

For several machines torchrun starts the same worker (see `share_worker.py`).

One step exchanges a sum of n_items × d numbers per layer and direction, and one for the gradient: 2·layers + 1 sums, of
10 MB each for 40,000 items and 64 dimensions, whatever the number of users and pairs.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch

from recsaas_assets.recommender.data_parallel.parallel_job import ParallelFit, collected
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, TrainingCancelled
from resources.base.errors import InvalidInput
from resources.processes.supervisor import ProcessFailed, end_process, python, signal_group, start_process
from resources.storage.disk import work_folder
from resources.tenants.model_configs import LightGCNConfig

MIN_PAIRS = 2_000_000
"""Below, starting processes takes longer than what they save."""

_WORKER = "recsaas_assets.recommender.data_parallel.share_worker"
_POLL_SECONDS = 0.2
_LAST_WORDS_SECONDS = 2.0


def processes_for(config: object, n_pairs: int, wanted: int) -> int:
    """The number of processes that are of use: `wanted` for a large LightGCN with softmax, else one."""
    splits = isinstance(config, LightGCNConfig) and config.loss == "softmax"
    return wanted if splits and n_pairs >= MIN_PAIRS else 1


def fit_in_processes(
    job: ParallelFit,
    processes: int,
    *,
    scratch: Path,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Do the fit in `processes` processes of this machine; the result is that of `trainer.fit` but for rounding.

    Raises:
        InvalidInput: the fit cannot be shared.
        ProcessFailed: one of them ended; the others were ended then.
        TrainingCancelled: `should_stop` said so; they have ended.
    """
    if job.config.loss != "softmax":
        raise InvalidInput(
            "Only LightGCN with the softmax loss can be fitted in several processes; choose one process."
        )
    if job.device == "cuda" and processes > torch.cuda.device_count():
        raise InvalidInput(
            f"{processes} processes need a GPU each, and this machine has {torch.cuda.device_count()}; "
            "lower RECSAAS_TRAINING_PROCESSES."
        )
    with work_folder(scratch, "parallel-fit") as folder:
        job.save(folder)
        running: list[subprocess.Popen[bytes]] = []
        # The processes listen to each other on this machine only; threads that outnumber the cores would slow all down.
        environment = {
            "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
            "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // processes)),
        }
        try:
            for rank in range(processes):
                command = python("-m", _WORKER, str(folder), str(rank), str(processes))
                with open(_log(folder, rank), "wb") as log:
                    running.append(start_process(command, environment, out=subprocess.PIPE, errors=log))
            _follow(running, folder, on_epoch, should_stop)
        finally:
            for process in running:
                signal_group(process, signal.SIGTERM)
            for process in running:
                end_process(process, seconds=0.5)
                assert process.stdout is not None
                process.stdout.close()
        return collected(folder, processes)


def _follow(
    running: Sequence[subprocess.Popen[bytes]],
    folder: Path,
    on_epoch: Callable[[EpochProgress], None] | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    """Pass the progress of the first process on until all have ended well."""
    first = running[0].stdout
    assert first is not None
    told, epochs = _Lines(first), 0
    while True:
        for line in told.new(_POLL_SECONDS):
            progress = EpochProgress(*json.loads(line))
            epochs = progress.epoch
            if on_epoch is not None:
                on_epoch(progress)
        if should_stop is not None and should_stop():
            raise TrainingCancelled(f"Training was cancelled after {epochs} epochs.")
        codes = [process.poll() for process in running]
        if any(codes):
            raise ProcessFailed(_reason(running, folder))
        if all(code == 0 for code in codes) and told.ended:
            return


class _Lines:
    """Lines of a pipe, without waiting for more of them."""

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe, self._rest, self.ended = pipe, b"", False

    def new(self, seconds: float) -> list[bytes]:
        """The lines that have come; waits for the first for at most so long."""
        if self.ended:
            time.sleep(seconds)
            return []
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._pipe, selectors.EVENT_READ)
            if not waiting.select(seconds):
                return []
        chunk = os.read(self._pipe.fileno(), 1 << 16)
        self.ended = not chunk
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return lines


def _reason(running: Sequence[subprocess.Popen[bytes]], folder: Path) -> str:
    """Say which process failed first: one that was killed, or else one that did not merely lose the others."""
    deadline = time.monotonic() + _LAST_WORDS_SECONDS
    for process in running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
    failed = []
    for rank, process in enumerate(running):
        if process.returncode:
            said = _log(folder, rank).read_text(errors="replace").strip().rpartition("\n")[2]
            lost_others = "onnection" in said or "peer" in said
            failed.append((process.returncode > 0, lost_others, rank, process.returncode, said))
    _, _, rank, code, said = min(failed)
    name = f"Training process {rank + 1} of {len(running)}"
    if code < 0:
        return (
            f"{name} was killed by signal {-code}, and the others were ended. If the machine ran out of memory, train "
            "with fewer dimensions, or on more machines."
        )
    return f"{name} failed, and the others were ended: {said}"


def _log(folder: Path, rank: int) -> Path:
    return folder / f"process-{rank}.log"
