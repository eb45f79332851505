"""An installation of an earlier version goes on with this one: its jobs end, nothing is lost, its answers stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dagster import DagsterInstance, RunRequest, SensorResult, build_sensor_context

from recsaas_assets.cli import cli
from recsaas_assets.instance.home import dagster_instance
from resources.base.settings import load_settings
from resources.dagster_resources import PlatformResource
from tests.defs.site import recsaas_home
from tests.recorded.filling import TENANTS, Filling, served
from tests.recorded.installation import Recorded, asked, unpack
from tests.recorded.questions import differences

ENDS = {"queued": "stored", "checking": "stored", "pending": "completed"}
"""What becomes of an upload that waits or whose process died, and of an erasure; other jobs are named below."""
_STORE_NOTHING = ("checked", "refused", "failed")
WAITED = timedelta(minutes=1)
"""Until then every job that rested may be worked on."""


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return unpack(tmp_path)


@pytest.fixture
def home(tmp_path: Path, recorded: Recorded) -> Iterator[Path]:
    home = tmp_path / "home"
    with recsaas_home(home):
        yield home


def recsaas(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def parts(recorded: Recorded, answers: dict[str, str]) -> list[str]:
    """Where answers differ from the recorded ones; they may have fields that those did not have yet."""
    questions = [{"ask": request} for request in answers]
    before = [recorded.answers[request] for request in answers]
    now = [without_new_fields(*each) for each in zip(before, answers.values(), strict=True)]
    return list(differences(questions, before, now))


def without_new_fields(recorded: str, answered: str) -> str:
    """An answer (status and body) without the fields that the recorded one lacks, where both are JSON."""
    status, _, body = answered.partition(" ")
    before = recorded.partition(" ")[2]
    if recorded == answered or not (before.startswith(("{", "[")) and body.startswith(("{", "["))):
        return answered
    was = json.loads(before)
    kept = _kept(was, json.loads(body))
    return recorded if status == recorded.partition(" ")[0] and kept == was else f"{status} {json.dumps(kept)}"


def _kept(was: Any, now: Any) -> Any:
    if isinstance(was, dict) and isinstance(now, dict):
        return {name: _kept(was[name], value) for name, value in now.items() if name in was}
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [_kept(*each) for each in zip(was, now, strict=True)]
    return now


def test_only_new_fields_are_left_out() -> None:
    was = '200 {"a":[{"b":1},{"b":2}],"c":null}'
    assert without_new_fields(was, '200 {"new":0,"a":[{"b":1,"d":4},{"b":2}],"c":null}') == was
    for other in (
        '200 {"a":[{"b":1},{"b":3}],"c":null}',
        '200 {"a":[{"b":1},{}],"c":null}',
        '200 {"a":[{"b":1}],"c":null}',
        '201 {"a":[{"b":1},{"b":2}],"c":null}',
        '200 {"a":[{"b":1},{"b":2}]}',
    ):
        assert without_new_fields(was, other) != was


def get(service: Filling, job: str) -> Any:
    tenant, address = job.split(" ", 1)
    return service.send(tenant, f"GET {address}")


def work(service: Filling) -> None:
    """Do what a thread of the service does, until nothing waits."""
    while service.app.state.services.job_worker.run_next():
        pass


def run_what_waits(home: Path) -> None:
    """Do what Dagster's daemon does with the sensors for erasures and training, until they ask for nothing."""
    from recsaas_assets.definitions import defs

    with dagster_instance(load_settings(home)) as instance:
        instance.add_dynamic_partitions("tenants", list(TENANTS))
        _tick(home, instance, defs, "pending_erasures")
        for request in _tick(home, instance, defs, "training_jobs"):
            result = defs.resolve_job_def("tenant_pipeline").execute_in_process(
                instance=instance,
                partition_key=str(request.partition_key),
                tags={**request.tags, "dagster/run_key": str(request.run_key)},
                asset_selection=request.asset_selection,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            assert result.success
        assert not _tick(home, instance, defs, "training_jobs")


def _tick(home: Path, instance: DagsterInstance, defs: Any, sensor: str) -> list[RunRequest]:
    resources = {"platform": PlatformResource(home=str(home))}
    with build_sensor_context(instance=instance, resources=resources) as context:
        result = defs.resolve_sensor_def(sensor)(context)
    return list(result.run_requests or []) if isinstance(result, SensorResult) else []


def end_of(job: str, status: str) -> str:
    """The status that a job ends in."""
    if "/training/" in job or "/exports/" in job:
        # A run of which Dagster knows nothing any more has failed; an export is begun anew.
        died = "failed" if "/training/" in job else "completed"
        return {"queued": "completed", "running": died}.get(status, status)
    return ENDS.get(status, status)


def test_what_was_answered_is_answered_and_every_job_ends(home: Path, recorded: Recorded) -> None:
    assert "alma" in recsaas("tenant", "list")  # migrates
    with served(home, recorded.now) as service:
        assert parts(recorded, asked(service.client, list(recorded.answers))) == []

    recsaas("tenant", "resume", "cedar", "--yes")
    with served(home, recorded.now + WAITED) as service:
        work(service)
    run_what_waits(home)

    with served(home, recorded.now + 2 * WAITED) as service:
        ends = {job: get(service, job)["status"] for job in recorded.jobs}
        wanted = {job: end_of(job, status) for job, status in recorded.jobs.items()}
        unlike = {job: end for job, end in ends.items() if end != wanted[job]}
        assert list(unlike.values()) == ["failed"], unlike
        assert recorded.jobs[next(iter(unlike))] == "checking", "of the two, the one that had ended three processes"
        nothing_is_lost(service, recorded)


def nothing_is_lost(service: Filling, recorded: Recorded) -> None:
    """The uploads are in the new release, the events and what was answered where they were."""
    listed = {upload["upload_id"]: upload for upload in get(service, "alma /api/v1/uploads")["uploads"]}
    before = json.loads(recorded.answers["alma GET /api/v1/uploads"].removeprefix("200 "))["uploads"]
    stored = [get(service, job) for job in recorded.jobs if job.startswith("alma /api/v1/uploads/jobs")]
    acknowledged = {each["upload_id"] for each in (*before, *stored) if each.get("status") not in _STORE_NOTHING}
    assert len(acknowledged) == 7
    assert acknowledged == set(listed)
    answer = service.send("alma", "POST /api/v1/recommendations", {"user_id": "au001", "count": 3})
    receipt = get(service, f"alma /api/v1/recommendations/{answer['recommendation_id']}/receipt")
    counting = {upload_id for upload_id, upload in listed.items() if upload["withdrawn_at"] is None}
    assert {upload["id"] for upload in receipt["lineage"]["uploads"]} == counting
    same = [request for request in recorded.answers if request.startswith(("birk POST", "birk GET /api/v1/recomm"))]
    assert parts(recorded, asked(service.client, [each for each in same if "/exports" not in each])) == []
    for request, text in recorded.answers.items():
        if request.startswith("alma") and request.endswith("/receipt"):  # its release has lost a user since
            was = json.loads(text.removeprefix("200 "))
            now = get(service, request.replace(" GET", ""))
            assert [each["item_id"] for each in now["items"]] == [each["item_id"] for each in was["items"]] != []
    for tenant, user in (("alma", "au001"), ("birk", "ku001")):
        address = f"/api/v1/users/{user}/export"
        was = json.loads(recorded.answers[f"{tenant} GET {address}"].removeprefix("200 "))
        assert get(service, f"{tenant} {address}")["events"] == was["events"] != []
