"""One process of a fit that several do together: `python -m …share_worker FOLDER RANK PROCESSES`.

On several machines torchrun starts it with FOLDER alone, a folder that all of them see, and tells it the rest:
`torchrun --nnodes 2 --rdzv-backend c10d --rdzv-endpoint HOST:PORT -m MODULE FOLDER`, where MODULE is this one.
`ParallelFit.save` writes the folder, `collected` reads the result. The first process says its progress on stdout, one
JSON array an epoch.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch

from recsaas_assets.recommender.data_parallel.parallel_job import ParallelFit, fit_own_share
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress

# Longer than any process may keep the others waiting: one that hangs must not hang them for ever.
_TIMEOUT = timedelta(minutes=10)


def main(arguments: list[str]) -> None:
    """Join the others, fit, leave."""
    folder = Path(arguments[0])
    cuda = ParallelFit.load(folder).device == "cuda"
    # Small sums stay on the CPU in either case.
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    if torch.distributed.is_torchelastic_launched():
        torch.distributed.init_process_group(backend, timeout=_TIMEOUT)
    else:
        torch.distributed.init_process_group(
            backend,
            init_method=f"file://{folder.absolute() / 'rendezvous'}",
            rank=int(arguments[1]),
            world_size=int(arguments[2]),
            timeout=_TIMEOUT,
        )
    if cuda:
        torch.cuda.set_device(torch.distributed.get_rank() % torch.cuda.device_count())
    fit_own_share(folder, _say)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _say(progress: EpochProgress) -> None:
    entry = [progress.epoch, progress.total, progress.loss, progress.eta_seconds, progress.metrics]
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
