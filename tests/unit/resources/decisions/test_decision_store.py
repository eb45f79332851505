from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.base.errors import ConfigurationError, InvalidInput
from resources.decisions.decision import Decision, ShownItem, new_recommendation_id, time_of_id
from resources.decisions.store import DecisionStore, open_decisions
from resources.decisions.table import DECISION_SCHEMA, as_tables
from resources.storage.table_file import write_table
from tests.unit.conftest import BLUE, GREEN

pytestmark = pytest.mark.databases

AT = datetime(2025, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
FULL = Decision(
    recommendation_id="0" * 32,
    tenant=BLUE,
    at=AT,
    release_version="20250601T120000Z-00000001",
    algorithm="lightgcn",
    items=(ShownItem('ü"1', 1, 0.1 + 0.2, "model"), ShownItem("b2", 2, 0.25, "popular", 0.5)),
    request_id="r",
    kind="similar",
    user_id="Zoë",
    session_id="s",
    scenario="home",
    variant="b",
    fallback_reason="all_seen",
    degraded=True,
    rules=("rule-1", "rule-2"),
    event_watermark=2**40,
    events_seen=2**40 + 1,
    state_version=7,
    offset=20,
)


def plain(number: int, user: str | None = "u1", tenant: object = BLUE) -> Decision:
    return replace(
        FULL, recommendation_id=f"{number:032x}", user_id=user, tenant=tenant, at=AT + timedelta(seconds=number)
    )


@pytest.fixture
def store(new_url: str) -> Iterator[DecisionStore]:
    store = open_decisions(new_url)
    yield store
    store.close()


def test_a_decision_comes_back_as_it_was(store: DecisionStore) -> None:
    least = Decision(
        recommendation_id="1" * 32,
        tenant=BLUE,
        at=AT,
        release_version="r",
        algorithm="popularity",
        items=(),
        request_id="",
    )
    store.add([FULL, least])
    assert store.get(BLUE, FULL.recommendation_id) == FULL
    assert store.get(BLUE, least.recommendation_id) == least
    assert store.get(GREEN, FULL.recommendation_id) is None
    assert store.get(BLUE, "2" * 32) is None


def test_reads_are_of_one_tenant_and_in_order(store: DecisionStore) -> None:
    mine = [plain(number) for number in range(5)]
    store.add([*mine[:2], plain(90, tenant=GREEN), *mine[2:], plain(91, user=None), plain(92, user="u2")])
    assert store.of_user(BLUE, "u1") == tuple(mine)
    assert store.count(BLUE, "u1") == 5
    blocks = list(store.of_tenant(BLUE, size=3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    assert [each.user_id for block in blocks for each in block] == ["u1"] * 5 + [None, "u2"]
    (late,) = store.of_tenant(BLUE, since=AT + timedelta(seconds=91))
    assert [each.user_id for each in late] == [None, "u2"]


def test_an_erased_user_is_gone_and_what_a_worker_still_holds_of_them_is_not_stored(store: DecisionStore) -> None:
    until = AT + timedelta(seconds=10)
    store.add([plain(1), plain(2, user="u2"), plain(3, tenant=GREEN)])
    store.erase_user(BLUE, "u1", until=until)
    store.add([plain(10), plain(11), plain(4, user="u2"), plain(5, tenant=GREEN), plain(6, user=None)])
    assert [each.at for each in store.of_user(BLUE, "u1")] == [AT + timedelta(seconds=11)]
    assert (store.count(BLUE, "u2"), store.count(GREEN, "u1")) == (2, 2)
    store.erase_user(BLUE, "u3", until=until + timedelta(hours=2))
    with store.engine.connect() as connection:
        assert len(connection.exec_driver_sql("SELECT * FROM erased_users").all()) == 1, "the old mark has gone"


def test_pruning_takes_the_oldest_in_steps(store: DecisionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.decisions.store._PRUNED_AT_ONCE", 4)
    store.add([plain(number) for number in (0, 1, 3, 2, 4, 5)])
    limit = AT + timedelta(seconds=3)
    assert [store.prune(limit) for _ in range(2)] == [3, 0]
    assert [each.at.second for each in store.of_user(BLUE, "u1")] == [3, 4, 5]


def test_an_id_tells_its_time_and_cannot_be_guessed() -> None:
    first, second = new_recommendation_id(AT), new_recommendation_id(AT)
    assert first != second
    assert len(first) == 32
    assert time_of_id(first) == AT.replace(microsecond=123000)
    assert new_recommendation_id(AT + timedelta(milliseconds=1)) > max(first, second)
    for other in ("", "g" * 32, "f" * 32, first[:-1]):
        assert time_of_id(other) is None


@pytest.mark.parametrize("url", ["nonsense", "nodriver://x/y", "sqlite:////proc/none/decisions.db"])
def test_a_wrong_setting_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="RECSAAS_DECISIONS"):
        open_decisions(url)


@pytest.mark.e2e
def test_workers_that_start_together_make_one_log(new_url: str) -> None:
    program = "import sys; from resources.decisions.store import open_decisions; open_decisions(sys.argv[1])"
    workers = [subprocess.Popen([sys.executable, "-c", program, new_url], stderr=subprocess.PIPE) for _ in range(4)]
    assert [(worker.communicate()[1], worker.returncode) for worker in workers] == [(b"", 0)] * 4


def test_the_log_as_a_file(store: DecisionStore, tmp_path: Path) -> None:
    store.add([FULL, plain(1, user=None)])
    file = tmp_path / "log.parquet"
    assert write_table(file, as_tables(store.of_tenant(BLUE, size=1)), DECISION_SCHEMA) == 2
    table = pl.read_parquet(file)
    assert table.schema == DECISION_SCHEMA
    first = table.row(0, named=True)
    assert (first["at"], first["user_id"], first["rules"]) == (AT, "Zoë", ["rule-1", "rule-2"])
    assert first["items"] == [item._asdict() for item in FULL.items]
    flat = table.explode("items").unnest("items")
    assert flat["propensity"].to_list() == [1.0, 0.5, 1.0, 0.5]
    empty = tmp_path / "none.parquet"
    assert write_table(empty, as_tables(store.of_tenant(GREEN)), DECISION_SCHEMA) == 0
    assert pl.read_parquet(empty).schema == DECISION_SCHEMA
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == ["log.parquet", "none.parquet"]


def test_a_file_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    for file, problem in ((tmp_path / "log.txt", "must end in"), (tmp_path / "no" / "log.csv", "there is no folder")):
        with pytest.raises(InvalidInput, match=problem):
            write_table(file, iter(()), DECISION_SCHEMA)
