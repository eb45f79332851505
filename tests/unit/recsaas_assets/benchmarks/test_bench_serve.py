"""Parts of the serving benchmarks: the load tool against a real server, invented releases, what samples tell."""

from __future__ import annotations

import http.server
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Thread

import numpy as np

from bento_service.benchmarking.sampled import layer_of
from recsaas_assets.benchmarks.serving.serve_data import invented_contents
from recsaas_assets.benchmarks.serving.serve_load import Load, LoadRun, SeenAnswer, http_request, run_load
from recsaas_assets.benchmarks.serving.serve_measure import figures
from recsaas_assets.benchmarks.serving.soak import Memory


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /ok, refuses /full, cuts /cut, and answers the first /slow late."""

    protocol_version = "HTTP/1.1"
    slow_seconds = 0.3
    first = Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/cut":
            self.close_connection = True
            return
        if self.path == "/slow" and self.first.acquire(blocking=False):
            time.sleep(self.slow_seconds)
        body = self.path.encode() * 5_000
        self.send_response(503 if self.path == "/full" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def server() -> Iterator[int]:
    """A server of this process; yields its port."""
    Handler.first = Lock()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()


def test_answers_and_errors_are_counted_apart() -> None:
    requests = tuple(http_request("POST", path, body=b"{}") for path in ("/ok", "/full", "/ok", "/cut"))
    seen: list[SeenAnswer] = []
    with server() as port:
        result = LoadRun(Load(port, requests, 1.0, connections=2, warm_seconds=0), seen.append).run()
    good = [each for each in seen if each.status == 200]
    assert good
    assert all(each.body == b"/ok" * 5_000 and each.sent_at <= each.received_at for each in good)
    assert {each.status for each in seen} == {200, 503, 0}
    assert (len(result.milliseconds), result.errors) == (len(good), len(seen) - len(good))
    assert result.first_errors[0].startswith("503 /full")


def test_what_waits_behind_a_slow_answer_counts_from_when_it_was_due() -> None:
    with server() as port:
        load = Load(port, (http_request("POST", "/slow"),), 0.5, connections=1, rate=100, warm_seconds=0)
        result = run_load(load)
    assert len(result.milliseconds) in (50, 51)  # the last one is due at the end, give or take a rounding
    # Ten were due within the first tenth of a second, and none could be answered before 0.3 s.
    assert (np.sort(result.milliseconds)[-10:] >= 199).all()


def test_figures_are_the_median_rate_and_the_percentiles_of_all() -> None:
    with server() as port:
        load = Load(port, (http_request("POST", "/ok"),), 0.5, connections=1, warm_seconds=0)
        a, b, c = (run_load(load) for _ in range(3))
    rates = sorted(len(each.milliseconds) / each.seconds for each in (a, b, c))
    found = figures(a, b, c)
    assert found["requests_per_second"] == round(rates[1], 1)
    together = np.concatenate([a.milliseconds, b.milliseconds, c.milliseconds])
    assert found["p95_ms"] == round(float(np.percentile(together, 95)), 3)
    assert found["errors"] == 0


def test_an_invented_release_is_one_and_names_its_items() -> None:
    contents = invented_contents(items=120, users=30, prefix="a-")
    contents.check()
    assert all(item.startswith("a-") for item in contents.items["item_id"])
    assert contents.items["popularity"].sum() == contents.seen_items.size > 0
    history = contents.seen_items[contents.seen_indptr[3] : contents.seen_indptr[4]]
    mean = contents.item_vectors[history].sum(axis=0)
    assert mean @ contents.user_vectors[3] / np.linalg.norm(mean) > 0.8


def test_a_layer_is_that_of_the_module_or_of_its_package() -> None:
    assert layer_of("resources.ranker.ranker") == "ranking"
    assert layer_of("bento_service.recommending.answering") == "answering"
    assert layer_of("bento_service.recommending.answer_json") == "encoding"
    assert layer_of("numpy.linalg") is None


def test_growth_leaves_the_warming_up_out() -> None:
    sizes = (10, 20, 100, 100, 100, 100, 100, 100, 110, 110)
    assert round(Memory(tuple(map(float, range(10))), sizes).growth, 6) == 0.1
    assert Memory((0.0,), (5,)).growth == 0
