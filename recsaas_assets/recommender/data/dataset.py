"""The training set: id maps, the global time split, and the pairs of each part of it."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import polars as pl
from pydantic import BaseModel, ConfigDict
from upath import UPath

from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from resources.base.errors import InvalidInput, NothingToTrainOn
from resources.storage.lake import read_json, read_parquet, write_json, write_parquet

_PARTS = ("train", "validation", "before_test", "test", "full")
_LIVE_PARTS = ("before_live", "since_live")
_DAY_US = 86_400_000_000
LEAST_PAIR_WEIGHT = 1e-6
"""Less is what rounding leaves of sums that come to nothing, and no weight in single precision. The dbt model
`interaction_weights` has the same bound."""
_OF_ONE_TYPE = ("user_id", "item_id", "interaction_type")


class TimeSplit(BaseModel):
    """Global split by time: train < ``validation_start`` ≤ validation < ``test_start`` ≤ test (UTC).

    When the interactions cannot be split (too few, or all at one time) ``evaluable`` is false, ``reason`` says why,
    both times are null, and every interaction counts as training.
    """

    model_config = ConfigDict(frozen=True)

    evaluable: bool
    reason: str = ""
    validation_start: datetime | None = None
    test_start: datetime | None = None
    train_interactions: int = 0
    validation_interactions: int = 0
    test_interactions: int = 0
    live_until: datetime | None = None
    """Time of the newest interaction that the live release has seen; null without one."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Everything a fit and its evaluation need, in rows of ``users`` and ``items``.

    ``before_test`` is built from train and validation interactions together, which is not the union of both sets of
    pairs: a dislike in the validation period removes the pair. ``full`` is built from all interactions.

    ``before_live`` holds what the live release could have seen, ``since_live`` what neither it nor the search for
    hyper-parameters has: later than ``live_until`` and not before ``test_start``. Both are empty without a release.

    ``disliked`` holds the pairs with a negative signal at any time, which are in no ``full``: never to be recommended.
    Nothing is fitted on them; weights are 1, ages 0.
    """

    users: IdMap
    items: IdMap
    train: Pairs
    validation: Pairs
    before_test: Pairs
    test: Pairs
    full: Pairs
    split: TimeSplit
    before_live: Pairs = field(default_factory=Pairs.empty)
    since_live: Pairs = field(default_factory=Pairs.empty)
    disliked: Pairs = field(default_factory=Pairs.empty)

    @property
    def n_users(self) -> int:
        """Rows of the user map."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Rows of the item map: catalogue and interacted items."""
        return len(self.items)

    @property
    def parts(self) -> dict[str, Pairs]:
        """The sets of pairs by name; those around a live release only when there is one."""
        live = () if self.split.live_until is None else _LIVE_PARTS
        return {part: getattr(self, part) for part in (*_PARTS, *live)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over ids, pairs and split: equal exactly when the data are equal, whatever release is live."""
        digest = hashlib.sha256()
        for id_map in (self.users, self.items):
            for each in id_map.ids:
                encoded = each.encode()
                digest.update(len(encoded).to_bytes(8, "little") + encoded)
            digest.update(b"\xff" * 8)
        for name in _PARTS:
            _digest_pairs(digest, name, getattr(self, name))
        if len(self.disliked):
            _digest_pairs(digest, "disliked", self.disliked)
        digest.update(self.split.model_dump_json(exclude={"live_until"}).encode())
        return digest.hexdigest()

    @cached_property
    def live_fingerprint(self) -> str:
        """The same over the parts around the live release; empty without one."""
        if self.split.live_until is None:
            return ""
        digest = hashlib.sha256(self.split.live_until.isoformat().encode())
        for name in _LIVE_PARTS:
            _digest_pairs(digest, name, getattr(self, name))
        return digest.hexdigest()

    def save(self, directory: UPath) -> None:
        """Write users, items and one Parquet file per part, then split.json, each atomically."""
        write_parquet(directory / "users.parquet", self.users.to_polars(id_column="user_id", row_column="user_row"))
        write_parquet(directory / "items.parquet", self.items.to_polars(id_column="item_id", row_column="item_row"))
        for part, pairs in (*self.parts.items(), ("disliked", self.disliked)):
            write_parquet(directory / f"{part}.parquet", pairs.to_polars())
        document = {
            "fingerprint": self.fingerprint,
            "live_fingerprint": self.live_fingerprint,
            "split": self.split.model_dump(mode="json"),
        }
        write_json(directory / "split.json", document)

    @classmethod
    def load(cls, directory: UPath) -> "TrainingSet":
        """Read what `save` wrote; sets of older versions have no dislikes.

        Raises InvalidInput when the files do not belong together.
        """
        document = read_json(directory / "split.json")
        users = read_parquet(directory / "users.parquet")
        items = read_parquet(directory / "items.parquet")
        split = TimeSplit.model_validate(document["split"])
        parts = _PARTS if split.live_until is None else (*_PARTS, *_LIVE_PARTS)
        if (directory / "disliked.parquet").exists():
            parts = (*parts, "disliked")
        loaded = cls(
            users=IdMap.from_polars(users, id_column="user_id", row_column="user_row"),
            items=IdMap.from_polars(items, id_column="item_id", row_column="item_row"),
            split=split,
            **{part: Pairs.from_polars(read_parquet(directory / f"{part}.parquet")) for part in parts},
        )
        kept = document["fingerprint"], document.get("live_fingerprint", "")
        if (loaded.fingerprint, loaded.live_fingerprint) != kept:
            raise InvalidInput(f"The training set in {directory} is damaged; rebuild it by running training_set again.")
        return loaded


def _digest_pairs(digest: "hashlib._Hash", name: str, pairs: Pairs) -> None:
    digest.update(f"{name}:{len(pairs)};".encode())
    for array in (pairs.user_row, pairs.item_row, pairs.weight, pairs.age_days):
        digest.update(array.tobytes())


def pair_weights(signals: pl.DataFrame | pl.LazyFrame, cap: float) -> pl.DataFrame:
    """Sum the signals of every user × item pair: user_id, item_id, weight (0 < weight ≤ cap), last_timestamp.

    A negative signal (dislike) anywhere in the pair's history removes the pair. Pieces that came back, in rows with
    ``pieces`` below 0, take their share off the purchases of the pair. Only the rows given are looked at, so a part of
    the split is weighted without any later interaction.
    """
    grouped = (
        _less_returns(signals.lazy())
        .group_by("user_id", "item_id")
        .agg(
            pl.col("signal").sum().alias("weight"),
            pl.col("signal").min().alias("lowest"),
            pl.col("timestamp").max().alias("last_timestamp"),
        )
    )
    kept = grouped.filter((pl.col("lowest") >= 0) & (pl.col("weight") >= LEAST_PAIR_WEIGHT))
    capped = kept.with_columns(pl.col("weight").clip(upper_bound=cap))
    pairs = capped.select("user_id", "item_id", "weight", "last_timestamp")
    return pairs.collect(engine="streaming").sort("user_id", "item_id")


def _less_returns(signals: pl.LazyFrame) -> pl.LazyFrame:
    """Signals less what was taken back, as `int_kept_lines` nets it; signals of older builds have no pieces."""
    if "pieces" not in signals.collect_schema().names():
        return signals
    pieces = pl.col("pieces")
    back = _collected(signals.filter(pieces < 0).group_by(_OF_ONE_TYPE).agg((-pieces.sum()).alias("back")))
    if back.is_empty():
        return signals
    taken = (
        signals.filter(pieces > 0)
        .join(back.lazy(), on=_OF_ONE_TYPE, how="semi")
        .group_by(_OF_ONE_TYPE)
        .agg(pieces.sum().alias("taken"))
    )
    share = 1 - pl.col("back") / pl.col("taken")
    kept = back.lazy().join(taken, on=_OF_ONE_TYPE, how="inner").select(*_OF_ONE_TYPE, share=share.clip(lower_bound=0))
    joined = signals.join(kept, on=_OF_ONE_TYPE, how="left")
    return joined.with_columns(pl.col("signal") * pl.col("share").fill_null(1.0)).drop("share")


def build_training_set(
    signals: pl.DataFrame | pl.LazyFrame,
    catalogue_item_ids: pl.Series,
    cap: float,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    live_until: datetime | None = None,
) -> TrainingSet:
    """Split the signals by time and weigh each part by itself.

    ``signals``: user_id, item_id (String), timestamp (Datetime, UTC), interaction_type, signal (Float64), one row per
    interaction; a lazy frame is read as a stream, so that memory holds its pairs. ``catalogue_item_ids`` get a row too,
    interacted or not. ``fractions`` are of the interactions.
    ``live_until`` is the time of the newest interaction that the live release has seen.
    Raises NothingToTrainOn when no pair with a positive weight is left.
    """
    if abs(sum(fractions) - 1) > 1e-9 or min(fractions) < 0:
        raise InvalidInput(f"Split fractions must be ≥ 0 and add up to 1, not {fractions}.")
    signals = signals.lazy()
    times = _collected(signals.select("timestamp"))["timestamp"]
    if times.is_empty():
        raise NothingToTrainOn("Not ready: there are no interactions to train on; upload an interactions file first.")
    users = IdMap.from_ids(_different(signals, "user_id").to_list())
    item_ids = pl.concat([_different(signals, "item_id"), catalogue_item_ids.cast(pl.String)])
    items = IdMap.from_ids(item_ids.unique().to_list())

    def to_pairs(part: pl.LazyFrame) -> Pairs:
        return _to_pairs(pair_weights(part, cap), users, items)

    full, disliked = to_pairs(signals), _disliked(signals, users, items)
    if len(full) == 0:
        raise NothingToTrainOn(
            "Not ready: no interaction says that anybody likes anything (dislikes, returned purchases and types with a "
            "weight of 0 do not); upload views, clicks, ratings, likes or purchases."
        )
    split = _split_times(times.sort(), fractions)
    if split.validation_start is None or split.test_start is None:
        nothing = Pairs.empty()
        return TrainingSet(users, items, full, nothing, full, nothing, full, split, disliked=disliked)
    time = pl.col("timestamp")
    before_live = since_live = Pairs.empty()
    if live_until is not None:
        live_until = live_until.astimezone(UTC)
        split = split.model_copy(update={"live_until": live_until})
        before_live = to_pairs(signals.filter(time <= live_until))
        since_live = to_pairs(signals.filter((time > live_until) & (time >= split.test_start)))
    return TrainingSet(
        users=users,
        items=items,
        train=to_pairs(signals.filter(time < split.validation_start)),
        validation=to_pairs(signals.filter((time >= split.validation_start) & (time < split.test_start))),
        before_test=to_pairs(signals.filter(time < split.test_start)),
        test=to_pairs(signals.filter(time >= split.test_start)),
        full=full,
        split=split,
        before_live=before_live,
        since_live=since_live,
        disliked=disliked,
    )


def _split_times(ordered: pl.Series, fractions: tuple[float, float, float]) -> TimeSplit:
    """Times at which the given shares of the interactions (``ordered`` by time) have passed.

    Where many interactions share one time, the next later time is taken, so that every part holds something.
    """
    n = len(ordered)
    validation_start = _later(ordered, int(n * fractions[0] + 1e-9), than=ordered[0])
    test_start = _later(ordered, int(n * (fractions[0] + fractions[1]) + 1e-9), than=validation_start)
    if validation_start is None or test_start is None:
        reason = f"{n} interactions at too few different times to split into train, validation and test."
        return TimeSplit(evaluable=False, reason=reason, train_interactions=n)
    return TimeSplit(
        evaluable=True,
        validation_start=validation_start,
        test_start=test_start,
        train_interactions=int((ordered < validation_start).sum()),
        validation_interactions=int(((ordered >= validation_start) & (ordered < test_start)).sum()),
        test_interactions=int((ordered >= test_start).sum()),
    )


def _later(ordered: pl.Series, place: int, *, than: datetime | None) -> datetime | None:
    """The time at ``place``, or else the first one after ``than``; None when there is none."""
    if than is None:
        return None
    after: pl.Series = ordered.filter(ordered > than)
    if len(after) == 0:
        return None
    time: datetime = ordered[min(place, len(ordered) - 1)]
    first: datetime = after[0]
    return max(time, first)


def _collected(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect(engine="streaming")


def _different(signals: pl.LazyFrame, column: str) -> pl.Series:
    return _collected(signals.select(column).unique())[column]


def _disliked(signals: pl.LazyFrame, users: IdMap, items: IdMap) -> Pairs:
    pairs = _collected(signals.filter(pl.col("signal") < 0).select("user_id", "item_id").unique())
    return Pairs.of(users.rows(pairs["user_id"]), items.rows(pairs["item_id"]))


def _to_pairs(weighted: pl.DataFrame, users: IdMap, items: IdMap) -> Pairs:
    if weighted.height == 0:
        return Pairs.empty()
    latest = weighted["last_timestamp"].max()
    age = (pl.lit(latest) - pl.col("last_timestamp")).dt.total_microseconds() / _DAY_US
    frame = weighted.select(
        pl.Series("user_row", users.rows(weighted["user_id"])),
        pl.Series("item_row", items.rows(weighted["item_id"])),
        pl.col("weight").cast(pl.Float32),
        age.cast(pl.Float32).alias("age_days"),
    )
    return Pairs.from_polars(frame)
