"""`recsaas bench serve`: requests a second and milliseconds of the real service, beside a bare FastAPI route."""

from __future__ import annotations

import click

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.serving.serve_data import ServedTenant, invented_contents, serve_tenant
from recsaas_assets.benchmarks.serving.serve_events import event_to_answer
from recsaas_assets.benchmarks.serving.serve_load import http_request, percentiles
from recsaas_assets.benchmarks.serving.serve_measure import (
    Client,
    answer_size,
    contest,
    figures,
    load_client,
    time_shares,
)
from recsaas_assets.benchmarks.serving.serve_process import service, yardstick
from recsaas_assets.benchmarks.serving.serve_requests import requests_by_kind
from recsaas_assets.benchmarks.workplace import Workplace, workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results

OTHER_KINDS = ("recommend_new_user", "recommend_filtered", "similar", "event")
NO_CACHE = {"RECSAAS_ANSWER_CACHE_BYTES": "0"}
SHARE_OF_SATURATION = 0.6
HOW_MEASURED = (
    "The real service with authentication, limits, logs, metrics and the decision log, and without the cache of "
    "repeated answers (recommend_repeated has it); releases written by the release store. The load comes from one "
    "other process: saturation is every connection sending as soon as it has its answer; recommend_at_60_percent is a "
    "constant arrival rate of 60 % of recommend's requests_per_second, each time counted from when the request should "
    "have been sent. recommend and yardstick take turns: requests_per_second are medians of the rounds, ratio the "
    "median of the rounds' ratios, percentiles those of all answers. yardstick: uvicorn with one FastAPI route that "
    "answers constant bytes, as many as an answer of recommend has, for the same requests and workers. "
    "cpu_ms_per_request: processor time of all processes of the server, which hardly depends on what else runs. "
    "event_to_answer_ms: two workers, from the acknowledgement of an event on one to a changed answer of the other. "
    "time_shares: percent of the processor time of the app, sampled in a process of its own under the load of "
    "recommend; time_functions: the same by function of ours, libraries counting for their callers."
)


@click.command()
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Of the service.")
@click.option("--items", default=5_000, show_default=True, type=click.IntRange(min=100), help="In the catalogue.")
@click.option("--users", default=10_000, show_default=True, type=click.IntRange(min=10), help="Known to the model.")
@click.option("--connections", default=16, show_default=True, type=click.IntRange(min=1), help="At saturation.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(min=0.5), help="Of each load.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1), help="Of recommend and yardstick.")
@click.option("--seed", default=7, show_default=True, help="Of the invented shop.")
@json_option
def serve(
    workers: int, items: int, users: int, connections: int, seconds: float, rounds: int, seed: int, as_json: bool
) -> None:
    """Put the service under load, and a bare FastAPI route beside it."""
    with workplace() as place, load_client(seconds=seconds, connections=connections) as client:
        notes.print(f"Writing a release of {items:,} items and {users:,} users …")
        contents = invented_contents(items=items, users=users, seed=seed)
        served = serve_tenant("bench", contents, lake=place.lake, db=place.db)
        answer = {
            **_under_load(place, client, served, workers=workers, rounds=rounds),
            **_two_workers(place, client, served),
        }
        notes.print("Sampling where the time goes …")
        shares, functions = time_shares(place, client, requests_by_kind(served)["recommend"])
        answer |= {"time_shares": shares, "time_functions": functions}
    answer |= {
        "workers": workers,
        "items": items,
        "users": users,
        "connections": connections,
        "seconds": seconds,
        "rounds": rounds,
        "seed": seed,
        "how_measured": HOW_MEASURED,
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        if name not in ("how_measured", "machine"):
            results.print(f"{name:26} {value}")


def _under_load(
    place: Workplace, client: Client, served: ServedTenant, *, workers: int, rounds: int
) -> dict[str, object]:
    """Measure every kind of request and the yardstick; events come last, as they change the answers after them."""
    requests = requests_by_kind(served)
    notes.print("Starting the service …")
    with service(place, workers=workers, variables=NO_CACHE) as server:
        size = answer_size(server.port, requests["recommend"][0])
        # The same bytes for uvicorn to read, too, but for the path.
        bare = tuple(
            request.replace(b"POST /api/v1/recommendations ", b"POST / ", 1) for request in requests["recommend"]
        )
        with yardstick(place, workers=workers, size=size) as other:
            notes.print("Measuring recommend and the yardstick in turn …")
            found = contest(client, (server, requests["recommend"]), (other, bare), rounds=rounds)
        answer: dict[str, object] = {"recommend": found.ours, "yardstick": found.yardstick, "ratio": found.ratio}
        rate = SHARE_OF_SATURATION * float(str(found.ours["requests_per_second"]))
        notes.print(f"Measuring recommend at {rate:,.0f} requests a second …")
        steady = client.send(server.port, requests["recommend"], rate=max(rate, 1.0))
        answer["recommend_at_60_percent"] = figures(steady)
        for kind in OTHER_KINDS:
            notes.print(f"Measuring {kind} …")
            answer[kind] = figures(client.send(server.port, requests[kind]))
        answer["answer_bytes"] = size
    return answer


def _two_workers(place: Workplace, client: Client, served: ServedTenant) -> dict[str, object]:
    notes.print("Starting two workers: events, and repeated answers …")
    with service(place, workers=2) as server:
        times = event_to_answer(server, served)
        again = tuple(
            http_request("POST", "/api/v1/recommendations", key=served.key, body=f'{{"user_id":"{user}"}}'.encode())
            for user in served.contents.user_ids[:100]
        )
        repeated = client.send(server.port, again)
    return {
        "event_to_answer_ms": {**percentiles(times), "max_ms": round(max(times), 3), "trials": len(times)},
        "recommend_repeated": figures(repeated) | {"workers": 2},
    }
