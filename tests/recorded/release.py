"""Releases whose items are answered in the same order on every machine, whatever kernels BLAS, numpy and FAISS choose.

Vectors have few bits: the learned coordinates are eighths whose squares add up to 1, 1/4 or 4, and so are lengths,
cosines and inner products in float32 as in float64, in whichever order they are added: items that tie do so everywhere.
Catalogues are smaller than the candidates that a first search proposes, whose choice is approximate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.manifest import GateDecision, IndexInfo, ManifestDraft, UploadReference
from tests.recorded.dice import Dice

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)
CATEGORIES = ("Audio", "Kitchen", "Garden", "Bücher", "Toys & Games", "Tools", "Shoes", "Food")
BRANDS = ("Acme", "Bolt", "Çelik", " acme ")
TAGS = ("new", "red", "Gift", "sale", "brass", "größe l")
TASTE = len(CATEGORIES)
"""Learned coordinates of a vector: one for each category, in which its items are long."""
_LENGTHS = (
    (8,),
    (7, 3, 2, 1, 1),
    (6, 5, 1, 1, 1),
    (6, 4, 2, 2, 2),
    (6, 3, 3, 3, 1),
    (5, 5, 3, 2, 1),
    (5, 4, 3, 3, 2, 1),
    (5, 3, 3, 3, 2, 2, 2),
    (4, 4, 4, 4),
    (4, 4, 4, 3, 2, 1, 1, 1),
)
"""Whole numbers whose squares add up to 64, the greatest first."""
_TREE = """Tree={number}
num_leaves=2
num_cat=0
split_feature={feature}
split_gain=1
threshold={threshold}
decision_type=2
left_child=-1
right_child=-2
leaf_value={left} {right}
leaf_weight=1 1
leaf_count=1 1
internal_value=0
internal_weight=2
internal_count=2
is_linear=0
shrinkage=1


"""
_FEATURES = (
    "score place standard_score score_below_best taste likeness_to_newest likeness_at_most likeness_on_average "
    "share_of_category price_to_usual user_avg_purchase_price item_category item_price"
)
Floats = NDArray[np.float32]
SecondStage = Literal["trees", "damaged"]


@dataclass(frozen=True)
class Plan:
    """What a release of an invented shop has.

    Attributes:
        prefix: what the ids of its items begin with.
        fold_in: whether new users get a vector of their events.
        popularity: whether the last coordinate of a vector is popularity, which nobody has learned.
        model: without one, popularity answers everybody.
    """

    prefix: str
    items: int
    users: int
    seed: int
    fold_in: bool = True
    popularity: bool = True
    model: bool = True
    second_stage: SecondStage | None = None
    event_watermark: int = 0
    item_watermark: int = 0

    @property
    def item_ids(self) -> list[str]:
        """The items by row; some ids have to be escaped in an address."""
        return [f"{self.prefix}{n:03}" if n % 40 else f"{self.prefix} {n}/ü" for n in range(self.items)]

    @property
    def user_ids(self) -> list[str]:
        """The users by row. The last ones are special: without a vector, and with every item seen."""
        return ["ü 0/x", *(f"u{n:03}" for n in range(1, self.users))]

    @property
    def unlearned(self) -> list[str]:
        """Users without a vector."""
        return self.user_ids[-4:-1]

    @property
    def sated(self) -> str:
        """The user who has seen everything."""
        return self.user_ids[-1]


def contents_of(plan: Plan) -> ReleaseContents:
    """Build the release."""
    dice = Dice(plan.seed)
    items = _items(plan, dice)
    vectors, fold_in = _item_vectors(plan, dice, items)
    seen = seen_of(plan)
    liked = [dice.below(TASTE) for _ in plan.user_ids]
    users = np.array([[*_unit(dice, place), 1.0] for place in liked], dtype=np.float32)
    users[len(users) - 4 : len(users) - 1] = 0
    users = np.ascontiguousarray(users[:, : vectors.shape[1]])
    second_stage = plan.second_stage is not None
    return ReleaseContents(
        user_ids=tuple(plan.user_ids),
        items=items,
        user_vectors=users if plan.model else np.zeros((0, 0), np.float32),
        item_vectors=vectors,
        seen_indptr=np.cumsum([0, *(len(rows) for rows in seen)]).astype(np.int64),
        seen_items=np.array([row for rows in seen for row in rows], dtype=np.int32),
        index_bytes=build_index(vectors)[0],
        evaluation_json="{}",
        evaluation_markdown="",
        fold_in=fold_in if plan.model and plan.fold_in else None,
        disliked=_disliked(plan),
        second_stage=_trees(plan) if second_stage else None,
        second_stage_users=_usual_prices(plan, dice) if second_stage else None,
        second_stage_items=_item_features(items) if second_stage else None,
    )


def seen_of(plan: Plan) -> list[list[int]]:
    """Return the item rows that each user has seen, by user row, most recent last."""
    dice = Dice(plan.seed + 100)
    seen = [dice.some(range(plan.items), dice.below(13)) for _ in plan.user_ids]
    seen[-1] = list(range(plan.items))
    return seen


def draft_of(plan: Plan, tenant: str) -> ManifestDraft:
    """Return what the writer of the release says."""
    return ManifestDraft(
        tenant=tenant,
        created_at=NOW,
        algorithm="lightgcn" if plan.model else "popularity",
        uploads=(UploadReference(id=f"{plan.prefix}-upload", kind="interactions", sha256="00", rows=plan.items),),
        event_watermark=plan.event_watermark,
        item_watermark=plan.item_watermark,
        dbt_project_hash="project",
        dbt_invocation_id="invocation",
        training_set_fingerprint="fingerprint",
        code_version="recorded",
        taste_dimensions=TASTE if plan.model and plan.popularity else None,
        seed=plan.seed,
        dagster_run_id="run",
        gate=GateDecision(outcome="passed"),
        index=IndexInfo(type="flat_ip", recall=1.0),
        trained_at=NOW,
        events_until=datetime(2024, 5, 31, tzinfo=UTC),
        interactions=plan.items,
    )


def _items(plan: Plan, dice: Dice) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for row, item_id in enumerate(plan.item_ids):
        category = dice.pick(CATEGORIES)
        written = dice.pick((category, category, category, f" {category.lower()}", category.upper()))
        with_vector = plan.model and not dice.chance(0.1)
        rows.append(
            {
                "item_row": row,
                "item_id": item_id,
                "title": dice.pick((f"Item {row}", f'„Item" {row} \\ é', f"Item {row}", None)),
                "category": None if dice.chance(0.06) else written,
                "brand": None if dice.chance(0.1) else dice.pick(BRANDS),
                "price": None if dice.chance(0.08) else (1 + dice.below(200)) / 2,
                "tags": "|".join(dice.some(TAGS, dice.below(4))) or None,
                "image_url": f"https://shop.example/{row}.jpg" if dice.chance(0.3) else None,
                "available": dice.pick((True,) * 20 + (False, False, None)),
                "in_catalogue": not dice.chance(0.04),
                "popularity": None if dice.chance(0.05) else float(dice.below(60)),
                "has_vector": with_vector,
                "vector_source": "content" if with_vector and dice.chance(0.12) else None,
                "trending": dice.below(32) / 8 if dice.chance(0.2) else None,
            }
        )
    rows[5]["title"] = "long " * 300
    rows[6]["image_url"] = "https://shop.example/" + "x" * 2_000
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def _item_vectors(plan: Plan, dice: Dice, items: pl.DataFrame) -> tuple[Floats, Floats]:
    """Return the vectors `(n_items, d)` and what the items add to that of a new user `(n_items, TASTE)`."""
    places = {category.casefold(): place for place, category in enumerate(CATEGORIES)}
    taste = np.zeros((plan.items, TASTE), dtype=np.float32)
    popularity = np.zeros((plan.items, 1), dtype=np.float32)
    for row, (category, has_vector) in enumerate(items.select("category", "has_vector").iter_rows()):
        place = places[category.strip().casefold()] if category is not None else dice.below(TASTE)
        unit = _unit(dice, place)
        if has_vector:
            taste[row] = np.array(unit) * dice.pick((1.0, 1.0, 0.5, 2.0))
            popularity[row] = dice.below(8) / 16
    if not plan.model:
        return np.zeros((plan.items, 0), np.float32), taste
    vectors = np.concatenate([taste, popularity], axis=1) if plan.popularity else taste
    return np.ascontiguousarray(vectors), taste


def _unit(dice: Dice, place: int) -> list[float]:
    """Return a vector of `TASTE` eighths of length 1 that is longest, and not negative, in one coordinate."""
    greatest, *others = dice.pick(_LENGTHS)
    unit = [0.0] * TASTE
    unit[place] = greatest / 8
    for where, other in zip(dice.some([p for p in range(TASTE) if p != place], len(others)), others, strict=True):
        unit[where] = other / 8 * dice.pick((1, 1, -1))
    return unit


def _disliked(plan: Plan) -> NDArray[np.int32]:
    """Every fifth user dislikes two items, the one who has seen everything among them."""
    users = sorted({*range(0, plan.users, 5), plan.users - 1})
    pairs = [(user, item) for user in users for item in sorted({user % plan.items, (user * 7 + 3) % plan.items})]
    return np.array(pairs, dtype=np.int32)


def _trees(plan: Plan) -> bytes:
    """Return trees written by hand, in LightGBM's text form; their thresholds are far from what features can be."""
    if plan.second_stage == "damaged":
        return b"no trees"
    names = _FEATURES.split()
    splits = (("place", 4.5, 0.0, 0.6), ("item_price", 40.25, 0.4, -0.3), ("share_of_category", 0.15, -0.2, 0.5))
    trees = [
        _TREE.format(number=number, feature=names.index(name), threshold=threshold, left=left, right=right)
        for number, (name, threshold, left, right) in enumerate(splits)
    ]
    head = (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
        f"max_feature_idx={len(names) - 1}\nobjective=lambdarank\nfeature_names={_FEATURES}\n"
        f"feature_infos={' '.join(['[-1000:1000]'] * len(names))}\n"
        f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}\n\n"
    )
    return f"{head}{''.join(trees)}end of trees\n".encode()


def _usual_prices(plan: Plan, dice: Dice) -> Floats:
    return np.array([[(1 + dice.below(100)) / 2] for _ in plan.user_ids], dtype=np.float32)


def _item_features(items: pl.DataFrame) -> Floats:
    places = {category.casefold(): float(place) for place, category in enumerate(CATEGORIES)}
    return np.array(
        [
            (places[category.strip().casefold()] if category is not None else -1.0, -1.0 if price is None else price)
            for category, price in items.select("category", "price").iter_rows()
        ],
        dtype=np.float32,
    )
