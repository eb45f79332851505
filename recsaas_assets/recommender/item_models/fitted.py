"""The item–item models of one run: what was chosen, the tables, and how they are kept beside the model."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.item_models.choice import Recipe, choose
from recsaas_assets.recommender.item_models.recipes import RECIPES, TableKind
from recsaas_assets.recommender.metrics.holdout import is_comparable
from resources.base.errors import CorruptArtifact, TooLarge
from resources.release.item_table import ItemTable
from resources.storage.lake import read_bytes, read_json, write_bytes, write_json

KINDS: tuple[TableKind, ...] = get_args(TableKind)
DOCUMENT = "item_models.json"
_PARTS = {"holdout": "before_test", "release": "full", "before_live": "before_live"}


@dataclass(frozen=True, eq=False)
class FittedTable:
    """One item–item model of a run.

    Attributes:
        ndcg_at_10: of the recipe on the validation period; None when too few users could be asked.
        holdout: fitted on what came before the test period: it is measured.
        release: fitted on everything: it may go live.
        before_live: fitted on what the live release could have seen, when enough has happened since.
    """

    recipe: Recipe
    ndcg_at_10: float | None
    holdout: ItemTable
    release: ItemTable
    before_live: ItemTable | None = None


@dataclass(frozen=True, eq=False)
class ItemModels:
    """Every item–item model of a run by its kind; `left_out` says why one is not among them."""

    fingerprint: str
    live_fingerprint: str = ""
    fits: Mapping[str, FittedTable] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the training set, the recipes and every table."""
        digest = hashlib.sha256(f"{self.fingerprint};{self.live_fingerprint}".encode())
        for fitted in self.fits.values():
            digest.update(fitted.recipe.model_dump_json().encode())
            for part in _PARTS:
                table: ItemTable | None = getattr(fitted, part)
                for array in () if table is None else table.arrays.values():
                    digest.update(array.tobytes())
        return digest.hexdigest()

    def save(self, directory: UPath) -> None:
        """Write the tables, then the document that describes them, each atomically; an older document goes first."""
        (directory / DOCUMENT).unlink(missing_ok=True)
        for kind in KINDS:
            for part in _PARTS:
                table = getattr(self.fits.get(kind), part, None)
                path = directory / f"{kind}_{part}.npz"
                if table is None:
                    path.unlink(missing_ok=True)
                    continue
                buffer = io.BytesIO()
                np.savez(buffer, allow_pickle=False, **table.arrays)
                write_bytes(path, buffer.getvalue())
        described = {
            kind: {
                "recipe": fitted.recipe.model_dump(mode="json"),
                "ndcg_at_10": fitted.ndcg_at_10,
                "parts": [part for part in _PARTS if getattr(fitted, part) is not None],
            }
            for kind, fitted in self.fits.items()
        }
        document: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "live_fingerprint": self.live_fingerprint,
            "fits": described,
            "left_out": dict(self.left_out),
            "seconds": self.seconds,
        }
        write_json(directory / DOCUMENT, document)

    @classmethod
    def load(cls, directory: UPath, training_set: TrainingSet) -> ItemModels:
        """Read what `save` wrote.

        Raises:
            CorruptArtifact: a file is missing or damaged, or the tables were fitted on another training set.
        """
        document = read_json(directory / DOCUMENT)
        try:
            kept = document["fingerprint"], document["live_fingerprint"]
            described: dict[str, Any] = document["fits"]
            recipes = {kind: RECIPES.validate_python(each["recipe"]) for kind, each in described.items()}
            figures = {kind: each["ndcg_at_10"] for kind, each in described.items()}
            parts = {kind: tuple(each["parts"]) for kind, each in described.items()}
            left_out, seconds = dict(document["left_out"]), float(document["seconds"])
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise CorruptArtifact(f"{DOCUMENT} is damaged; {_AGAIN}") from error
        if kept[0] != training_set.fingerprint:
            raise CorruptArtifact(f"The item models were fitted on another training set than the one stored; {_AGAIN}")
        of_live = kept[1] == training_set.live_fingerprint
        fits = {}
        for kind, recipe in recipes.items():
            tables = {
                part: _read_table(directory / f"{kind}_{part}.npz", training_set.n_items)
                for part in parts[kind]
                if of_live or part != "before_live"
            }
            fits[kind] = FittedTable(recipe, figures[kind], **tables)
        return cls(kept[0], kept[1] if of_live else "", fits, left_out, seconds)


_AGAIN = "materialise item_models again."


def fit_item_models(
    training_set: TrainingSet, *, seed: int, before_each: Callable[[], None] | None = None
) -> ItemModels:
    """Choose and fit every kind that there is time for.

    Without a test period nothing could ever say that a table is better than the model, so that none is fitted.

    Args:
        seed: draws the validation users that choose.
        before_each: called before every kind; it may raise to end the work.
    """
    data, started = training_set, time.monotonic()
    fits: dict[str, FittedTable] = {}
    left_out: dict[str, str] = {}
    for kind in KINDS:
        if before_each is not None:
            before_each()
        if not data.split.evaluable or not len(data.before_test):
            left_out[kind] = data.split.reason or "Nobody likes anything before the test period."
            continue
        try:
            fits[kind] = _fitted(data, kind, seed)
        except TooLarge as error:
            left_out[kind] = error.message
    return ItemModels(
        data.fingerprint, data.live_fingerprint, fits, left_out, seconds=round(time.monotonic() - started, 3)
    )


def _fitted(data: TrainingSet, kind: TableKind, seed: int) -> FittedTable:
    chosen = choose(data, kind, seed=seed)

    def on(part: str) -> ItemTable:
        return chosen.recipe.table(getattr(data, part), data.n_users, data.n_items)

    before_live = on("before_live") if is_comparable(data) else None
    return FittedTable(chosen.recipe, chosen.ndcg_at_10, on("before_test"), on("full"), before_live)


def _read_table(path: UPath, n_items: int) -> ItemTable:
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            table = ItemTable.of(arrays)
        table.check()
    except (FileNotFoundError, EOFError, KeyError, ValueError, CorruptArtifact) as error:
        raise CorruptArtifact(f"{path.name} is missing or damaged; {_AGAIN}") from error
    if table.n_items != n_items:
        raise CorruptArtifact(f"{path.name} does not belong to this training set; {_AGAIN}")
    return table
