"""A release of a sequence model: users are moved by the order of what they did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.base.errors import CorruptRelease
from resources.ranker.fold_in import encoded_vector
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from resources.release.contents import SEQUENCE_ENCODER
from resources.release.load import load_release
from resources.release.sequence_encoder import SequenceEncoder

ITEMS = ("a", "b", "c", "d")
VECTORS = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 1, 0], [-1, 0, 0.1]], np.float32)
READ = VECTORS[:, :2]


def last_item_encoder(length: int = 3, history_weight: float = 0.0) -> SequenceEncoder:
    """The state is the newest item's own input, plus the mean of the items read."""
    ones, zeros = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
    return SequenceEncoder(
        distances=np.zeros((1, 1, length), np.float32),
        attention_scale=ones,
        attention_shift=zeros,
        attention_in=np.zeros((1, 2, 6), np.float32),
        attention_out=np.zeros((1, 2, 2), np.float32),
        hidden_scale=ones,
        hidden_shift=zeros,
        hidden_in=np.zeros((1, 2, 1), np.float32),
        hidden_bias=np.zeros((1, 1), np.float32),
        hidden_out=np.zeros((1, 1, 2), np.float32),
        history_weight=np.array([history_weight], np.float32),
    )


@pytest.fixture
def ranker(shop: Any) -> Ranker:
    made: Ranker = shop(
        ITEMS,
        VECTORS,
        [("ann", [1, 0, 1], [2, 0]), ("new", [0, 0, 0], [])],
        algorithm="sequence",
        taste_dimensions=2,
        fold_in=READ,
        sequence_encoder=last_item_encoder().to_bytes(),
    )
    return made


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


def test_without_events_the_trained_vector_answers(ranker: Ranker) -> None:
    ranking = ranker.recommend(RankingQuery("ann", 9))
    assert ids(ranking) == ["b", "d"] and ranking.algorithm == "sequence"
    assert {item.source for item in ranking.items} == {"model"}
    assert ranking.items[0].reason == "Because of your interest in Title c"


def test_an_event_moves_a_known_user_to_the_state_after_it(ranker: Ranker) -> None:
    moved = RankingQuery("ann", 9, recent_items=("d",), exclude_seen=False)
    assert ids(ranker.recommend(moved)) == ["d", "c", "b", "a"]
    trained = RankingQuery("ann", 9, recent_items=("d",), exclude_seen=False, recompute=False)
    assert ids(ranker.recommend(trained))[0] == "a"


def test_the_order_of_the_events_decides(ranker: Ranker) -> None:
    def best(*events: str) -> str:
        return ids(ranker.recommend(RankingQuery("who", 1, recent_items=events, exclude_seen=False)))[0]

    assert best("a", "c") == "c" and best("c", "a") == "a" and best("a", "c", "a") == "a"


@pytest.mark.parametrize("user", ["who", None, "new"])
def test_a_visitor_with_events_is_answered_by_the_encoder(ranker: Ranker, user: str | None) -> None:
    ranking = ranker.recommend(RankingQuery(user, 2, recent_items=("c",)))
    assert ids(ranking)[0] == "b"
    assert (ranking.items[0].source, ranking.fallback_reason) == ("fold_in", None)
    assert ranking.items[0].reason == "Because of your interest in Title c"


def test_a_dislike_takes_an_item_out_of_the_sequence(ranker: Ranker) -> None:
    query = RankingQuery("who", 1, recent_items=("a", "c", "c"), recent_weights=(1.0, 1.0, -1.0), exclude_seen=False)
    assert ids(ranker.recommend(query)) == ["a"]
    alone = ranker.recommend(RankingQuery("who", 1, recent_items=("c",), recent_weights=(-1.0,)))
    assert (alone.items[0].source, alone.fallback_reason) == ("popular", "unknown_user")


def test_only_the_newest_items_that_the_model_knows_are_read() -> None:
    read = np.vstack([READ, np.zeros((1, 2), np.float32)])
    encoder = last_item_encoder(length=2, history_weight=1.0)

    def vector(history: list[int], recent: list[int]) -> Any:
        rows = np.array(recent, np.int32)
        return encoded_vector(encoder, read, np.array(history, np.int32), rows, np.ones(len(rows)), 3)

    assert vector([], [2]).tolist() == [0, 1, 1]
    assert np.array_equal(vector([3, 3, 0], [2]), vector([0], [2]))
    assert np.array_equal(vector([2], [4, 0]), vector([2], [0]))  # row 4 says nothing
    assert np.array_equal(vector([2, 0], [2]), vector([0], [2]))  # an item counts once, at its last time
    assert vector([], [4]) is None


def test_a_release_without_its_encoder_is_not_loaded(ranker: Ranker, tmp_path: Path) -> None:
    folder = ranker.release.directory
    assert ranker.release.sequence_encoder is not None
    path = folder / SEQUENCE_ENCODER
    path.chmod(0o644)
    path.write_bytes(last_item_encoder().to_bytes()[:-30])
    with pytest.raises(CorruptRelease, match="sequence encoder: is not readable"):
        load_release(folder, verify=False)
    path.unlink()
    with pytest.raises(CorruptRelease, match=r"sequence_encoder\.npz is missing"):
        load_release(folder, verify=False)
