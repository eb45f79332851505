"""An installation of an earlier version, recorded with its answers, so that an upgrade can be seen to lose nothing.

    python -m tests.recorded.installation --write     records it in installation.tar.xz, beside this file

The recording is of the code with schema 0010 of the control DB, and only that code can make it again: the command
refuses any other. `filling.py` says what it holds. In the archive are the control DB, the decision log and the lake,
below `home/`, and `recorded.json` with the moment of the recording, the status that each job was left in, and the
answers to requests of every sort at that moment. What a start makes anew is left out: dbt's parse, Dagster's history.
"""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bento_service.telemetry.logs import configure_logging
from tests.recorded import filling as made
from tests.recorded.ask import stripped
from tests.unit.bento_service.client import Client

RECORDED = Path(__file__).with_name("installation.tar.xz")
SCHEMA = "0010"
_LEFT_OUT = ("dagster", "dbt", "scratch", "locks", "incoming")
_LISTS = (
    "uploads",
    "training",
    "recommendations/exports",
    "rules",
    "api-keys",
    "items",
    "data-quality",
    "readiness",
)


@dataclass(frozen=True)
class Recorded:
    """What was recorded of an installation.

    Attributes:
        at: the moment, ISO 8601.
        jobs: statuses of jobs by tenant and address: `alma /api/v1/…`.
        answers: of requests, by tenant, method, address and body.
    """

    at: str
    jobs: dict[str, str]
    answers: dict[str, str]

    @property
    def now(self) -> datetime:
        """The moment of the recording."""
        return datetime.fromisoformat(self.at)


def unpack(folder: Path, file: Path = RECORDED) -> Recorded:
    """Write the installation to `folder / "home"`, and return what was recorded of it."""
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    return Recorded(**json.loads((folder / "recorded.json").read_text(encoding="utf-8")))


def asked(client: Client, requests: Sequence[str]) -> dict[str, str]:
    """Ask, and return the answers without what is random or of the clock."""
    found = {}
    for request in requests:
        tenant, method, path, *body = request.split(" ", 3)
        headers = {"Authorization": f"Bearer {made.key_of(tenant)}", "Content-Type": "application/json"}
        answer = client.request(method, path, headers=headers, content=body[0] if body else None)
        found[request] = stripped(f"{answer.status_code} {answer.text}")
    return found


def requests_of(filling: made.Filling, receipts: Sequence[str]) -> list[str]:
    """Return what to ask of the installation as it was left."""
    requests = [f"{job.replace(' ', ' GET ', 1)}" for job in filling.jobs]
    requests += [receipt.replace(" ", " GET ", 1) for receipt in receipts]
    for tenant, prefix in (("alma", "a"), ("birk", "k")):
        requests += [f"{tenant} GET /api/v1/{each}" for each in (*_LISTS, f"users/{prefix}u001/export")]
        for upload in filling.send(tenant, "GET /api/v1/uploads")["uploads"]:
            requests.append(f"{tenant} GET /api/v1/uploads/{upload['upload_id']}")
            if upload["rows_rejected"]:
                requests.append(f"{tenant} GET /api/v1/uploads/{upload['upload_id']}/rejected")
        users = (f"{prefix}u001", f"{prefix}u002", f"{prefix}u007", f"{prefix}u012", "u001", "u003", "stranger", "new")
        for user in users:
            requests.append(f'{tenant} POST /api/v1/recommendations {{"user_id":"{user}","count":6}}')
        requests.append(f'{tenant} POST /api/v1/recommendations {{"session_id":"visit-1","filters":{{"max_price":9}}}}')
        for item in (f"{prefix}i001", f"{prefix}i005", f"{prefix}001", "after-new"):
            requests.append(f'{tenant} POST /api/v1/recommendations/similar {{"item_id":"{item}","count":4}}')
            requests.append(f"{tenant} GET /api/v1/recommendations/why-not?item_id={item}&user_id={prefix}u001")
    for job, status in filling.jobs.items():
        if "exports" in job and status == "completed":
            requests.append(f"{job.replace(' ', ' GET ', 1)}/file")
    return [*requests, "cedar GET /api/v1/uploads"]


def record(home: Path) -> Recorded:
    """Fill an installation below `home`, and ask it."""
    made.create(home, datetime.now(UTC))
    with made.served(home, datetime.now(UTC)) as filling:
        made.upload(filling)
        made.live(filling, "before", 30)
        jobs = filling.jobs
    run_id = made.train()
    with made.served(home, datetime.now(UTC)) as filling:
        filling.jobs |= jobs
        made.erase(filling)
        made.live(filling, "after", 25)
        made.upload_jobs(filling)
        made.exports(filling)
        version = filling.send("alma", "POST /api/v1/recommendations", {"count": 1})["metadata"]["release_version"]
        made.training_jobs(filling, run_id, version)
        receipts = made.answer(filling)
        made.suspend(filling)
        now, jobs = filling.now, filling.jobs
    with tempfile.TemporaryDirectory() as copy:  # asking leaves decisions behind, which are not to be in the recording
        shutil.copytree(home, copy, dirs_exist_ok=True)
        with made.served(Path(copy), now) as filling:
            filling.jobs |= jobs
            answers = asked(filling.client, requests_of(filling, receipts))
    return Recorded(now.isoformat(), jobs, answers)


def pack(home: Path, recorded: Recorded, file: Path = RECORDED) -> None:
    """Write the archive: the files in order, without their owners and times."""
    for database in home.glob("*.db"):
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("VACUUM")
        connection.close()
    kept = [each for each in sorted(home.rglob("*")) if each.is_file() and _is_kept(each.relative_to(home))]
    with tarfile.open(file, "w:xz", preset=9) as archive:
        for each in kept:
            data = each.read_bytes()
            if str(home).encode() in data or os.getcwd().encode() in data:
                raise ValueError(f"{each.relative_to(home)} names a folder of this machine")
            _add(archive, f"home/{each.relative_to(home)}", data)
        _add(archive, "recorded.json", json.dumps(asdict(recorded), indent=1, ensure_ascii=False).encode())


def _is_kept(path: Path) -> bool:
    return path.parts[0] not in _LEFT_OUT and path.suffix != ".lock" and not path.name.startswith(".")


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))


def main(arguments: Sequence[str]) -> int:
    """Record the installation; return the exit status."""
    versions = Path(made.__file__).parents[2] / "resources" / "control_db" / "migrations" / "versions"
    newest = max(each.name[:4] for each in versions.glob("0*.py"))
    if list(arguments) != ["--write"] or newest != SCHEMA:
        sys.stderr.write(f"{__doc__}\nThis code has schema {newest}.\n")
        return 2
    configure_logging("ERROR")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECSAAS_HOME", folder)
        environment.setenv("RECSAAS_TRAINING_THREADS", "1")
        recorded = record(Path(folder))
        gc.collect()
        pack(Path(folder), recorded)
    sys.stderr.write(f"{len(recorded.jobs)} jobs and {len(recorded.answers)} answers recorded.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
