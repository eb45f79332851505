"""`recsaas bench e2e`: from the answer of the upload to the first recommendation, through the running platform."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import click
import httpx

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.pipeline.timeline import timeline_of
from recsaas_assets.benchmarks.workplace import LAST_DAY, Workplace, workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results
from recsaas_assets.platform.processes import running_platform
from recsaas_assets.sample.shop import SampleShop, generate_shop
from resources.base.errors import NotReady
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.training.runs import list_runs
from resources.uploads.contract.columns import Kind

BAR_SECONDS, SMALL_BAR_SECONDS = 60.0, 3.0
_LONGEST_SECONDS = 900.0
_POLL_SECONDS = 0.1
_TENANT = TenantId("bench")
_SMALL: dict[str, Any] = {"users": 100, "items": 50, "interactions": 1_000}
_SCOPES = ("recommendations:read", "uploads:write")


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """Seconds. `stages` add up to `total_seconds`, which begins when the last upload was answered."""

    users: int
    items: int
    interactions: int
    bar_seconds: float
    total_seconds: float
    stages: dict[str, float]
    upload_answers: dict[str, float]
    platform_start_seconds: float
    recommendations: int


@click.command()
@click.option("--users", default=10_000, show_default=True, type=click.IntRange(min=1))
@click.option("--items", default=5_000, show_default=True, type=click.IntRange(min=1))
# A larger file is answered before it is checked, and there is no answer to start the clock with.
@click.option("--interactions", default=100_000, show_default=True, type=click.IntRange(1, 200_000))
@click.option("--seed", default=7, show_default=True, help="Of the invented shop.")
@click.option("--without-small", is_flag=True, help="Leave out the small tenant in a warm process.")
@json_option
def e2e(users: int, items: int, interactions: int, seed: int, without_small: bool, as_json: bool) -> None:
    """Upload a shop over HTTP to a platform with nothing on it, and wait for its first recommendation."""
    shop = generate_shop(users=users, items=items, interactions=interactions, seed=seed, end=LAST_DAY)
    with workplace() as place:
        result = measure(place, shop)
    answer: dict[str, object] = {**asdict(result), "machine": machine()}
    if not without_small:
        with workplace() as place:
            answer["small_tenant"] = measure_small(place, seed=seed)
    if as_json:
        print_json(answer)
    else:
        for name, value in answer.items():
            results.print(f"{name:24} {value}", markup=False)


def measure(place: Workplace, shop: SampleShop) -> EndToEnd:
    """Upload `shop` to the platform on `place` and follow it until it is served.

    Raises:
        NotReady: an upload or the run failed, or nothing was served after 15 minutes.
    """
    place.add_tenant(_TENANT)
    _, key = create_api_key(place.db, _TENANT, name="bench", scopes=_SCOPES, now=datetime.now(UTC))
    notes.print("Starting the platform (about ten seconds) …")
    started = time.monotonic()
    with running_platform(place.settings, notes.print) as (_, addresses):
        ready = time.monotonic() - started
        client = httpx.Client(base_url=addresses.service, headers={"Authorization": f"Bearer {key}"}, timeout=300)
        with client:
            answers = {
                kind.value: _upload(client, kind, frame.write_csv().encode())
                for kind, frame in (
                    (Kind.ITEMS, shop.items),
                    (Kind.USERS, shop.users),
                    (Kind.INTERACTIONS, shop.interactions),
                )
            }
            answered = time.time()
            notes.print("Uploaded. Waiting for the first recommendation …")
            served = _first_recommendations(place, client, str(shop.interactions["user_id"][0]))
            timeline = timeline_of(place, _TENANT, answered=answered, served=time.time())
    return EndToEnd(
        users=shop.users.height,
        items=shop.items.height,
        interactions=shop.interactions.height,
        bar_seconds=BAR_SECONDS,
        total_seconds=timeline.total,
        stages=timeline.stages,
        upload_answers=answers,
        platform_start_seconds=round(ready, 2),
        recommendations=served,
    )


def measure_small(place: Workplace, *, seed: int) -> dict[str, object]:
    """Run two small tenants, one after the other, in one process; the second finds everything loaded.

    Raises:
        NotReady: a run failed.
    """
    names = ("cold", "warm")
    for number, name in enumerate(names):
        place.add_tenant(TenantId(name))
        place.upload_shop(TenantId(name), generate_shop(**_SMALL, seed=seed + number, end=LAST_DAY))
    notes.print("Two small tenants in one process …")
    cold, warm = place.recsaas("backfill", *names)["runs"]
    for run in (cold, warm):
        if not run["success"]:
            raise NotReady(f"The run of tenant {run['tenant']} failed: {run['message']}")
    return {
        **_SMALL,
        "bar_seconds": SMALL_BAR_SECONDS,
        "warm_seconds": warm["seconds"],
        "cold_seconds": cold["seconds"],
    }


def _upload(client: httpx.Client, kind: Kind, content: bytes) -> float:
    """Seconds until the answer."""
    started = time.monotonic()
    answer = client.post(f"/api/v1/upload/{kind.value}", files={"file": (f"{kind.value}.csv", content)})
    seconds = time.monotonic() - started
    if answer.status_code != 200 or answer.json()["status"] != "success":
        raise NotReady(f"The upload of {kind.value} was answered {answer.status_code}: {answer.text[:500]}")
    return round(seconds, 2)


def _first_recommendations(place: Workplace, client: httpx.Client, user: str) -> int:
    """Ask until there is an answer; return how many items it recommends."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        answer = client.post("/api/v1/recommendations", json={"user_id": user, "count": 10})
        if answer.status_code == 200:
            return len(answer.json()["recommendations"])
        failed = [run for run in list_runs(place.db, _TENANT) if run.status == "failed"]
        if failed:
            raise NotReady(f"The run failed at {failed[0].stage}: {failed[0].message}")
        time.sleep(_POLL_SECONDS)
    raise NotReady(f"Nothing was served after {_LONGEST_SECONDS:.0f} s: {answer.text[:500]}")
