"""A contest of `recsaas bench models`: LightGCN against tuned baselines on the newest interactions, with intervals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from recsaas_assets.benchmarks.datasets import SAMPLE, prepared
from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.commands.console import notes, results

if TYPE_CHECKING:
    from recsaas_assets.benchmarks.models.model_contest import ModelContest, Row
    from recsaas_assets.recommender.evaluation.evaluator import Evaluator

_SECONDS_BAR = 20.0
MAIN = "ndcg@10"
_SHOWN = (MAIN, "recall@20")


def contests(names: Sequence[str], budget: int, seed: int) -> dict[str, Any]:
    """Tune every model on the validation period of each data set, and measure it once on the test period, as JSON."""
    found = {name: _measure(name, budget, seed) for name in names}
    return {"budget": budget, "seed": seed, "datasets": found, "machine": machine()}


def _measure(name: str, budget: int, seed: int) -> dict[str, Any]:
    from recsaas_assets.benchmarks.models.model_contest import ModelContest
    from recsaas_assets.features.feature_history import build_feature_history

    notes.print(f"Preparing {name} …")
    with prepared(name) as dataset:
        data = dataset.training_set
        settings = dataset.workplace.settings
        features = build_feature_history(
            dataset.tenant, data, target_dir=settings.home / "dbt", memory_bytes=settings.dbt_memory_bytes
        )
    contest = ModelContest(data, budget=budget, seed=seed, features=features)
    speed = _seconds_to_best(contest)
    measured: list[Row] = []
    for row in contest.rows():
        measured.append(row)
        figure = row.skipped or f"{row.validation:.4f} on validation, {row.seconds:.0f} s"
        notes.print(f"  {row.model}: {figure}")
    table = _compared(measured, contest.test)
    return {
        "users": data.n_users,
        "items": data.n_items,
        "pairs": {part: len(pairs) for part, pairs in data.parts.items()},
        "split": data.split.model_dump(mode="json"),
        **speed,
        **({"seconds_bar": _SECONDS_BAR} if name == SAMPLE else {}),
        "models": table,
        "lightgcn_is_behind": [line for row in table for line in _behind(row)],
    }


def _seconds_to_best(contest: ModelContest) -> dict[str, float]:
    """Seconds of the first fit with the defaults: the choice of a configuration, and all up to the best validation."""
    at: dict[int, float] = {}
    started = time.perf_counter()
    config = contest.defaults()
    chosen_after = time.perf_counter() - started
    result = contest.search_fit(
        config, on_epoch=lambda progress: at.update({progress.epoch: time.perf_counter() - started})
    )
    return {
        "seconds_to_choose_preset": round(chosen_after, 2),
        "seconds_to_best_validation": round(at[result.best_epoch], 2),
        "seconds_of_search_fit": round(result.seconds, 2),
    }


def _compared(rows: list[Row], evaluator: Evaluator) -> list[dict[str, Any]]:
    """Every row with intervals, and LightGCN's defaults minus it; the first row is LightGCN with its defaults."""
    import numpy as np

    compared: list[dict[str, Any]] = []
    for row in rows:
        if row.skipped:
            compared.append({"model": row.model, "skipped": row.skipped})
            continue
        values = list(row.test.values())
        users = len(values[0])
        intervals = evaluator.resamples(users).intervals(np.stack(values, axis=1))
        fields: dict[str, Any] = {
            "model": row.model,
            "configurations": row.configurations,
            "readouts": row.readouts,
            "chosen": row.chosen,
            "validation_ndcg@10": row.validation,
            "seconds": round(row.seconds, 2),
            "test_users": users,
            "test": {
                name: {"value": float(each.mean()), "low": float(low), "high": float(high)}
                for (name, each), (low, high) in zip(row.test.items(), intervals, strict=True)
            },
        }
        if row is not rows[0]:
            differences = evaluator.differences(list(rows[0].test.values()), values)
            fields["lightgcn_minus_this"] = {
                name: each.model_dump(include={"value", "low", "high"})
                for name, each in zip(row.test, differences, strict=True)
            }
        compared.append(fields)
    return compared


def _behind(row: dict[str, Any]) -> list[str]:
    """A line for each shown metric in which LightGCN is behind this model."""
    lines = []
    for metric in _SHOWN:
        difference = row.get("lightgcn_minus_this", {}).get(metric)
        if difference is not None and difference["value"] < 0:
            sure = "the interval is below 0" if difference["high"] < 0 else "the interval holds 0"
            lines.append(f"{row['model']} by {metric} {interval_text(difference, signed=True)}: {sure}")
    return lines


def show_contest(name: str, measured: dict[str, Any]) -> None:
    """Print the table of one data set, and the models that LightGCN is behind."""
    table = Table("model", "validation", *_SHOWN, "LightGCN − model", "seconds", title=name)
    for row in measured["models"]:
        if "skipped" in row:
            table.add_row(row["model"], row["skipped"])
            continue
        figures = [interval_text(row["test"][metric]) for metric in _SHOWN]
        difference = (
            interval_text(row["lightgcn_minus_this"][MAIN], signed=True) if "lightgcn_minus_this" in row else ""
        )
        table.add_row(row["model"], f"{row['validation_ndcg@10']:.4f}", *figures, difference, f"{row['seconds']:.1f}")
    results.print(table)
    for line in measured["lightgcn_is_behind"] or ["no other model"]:
        results.print(f"LightGCN with its defaults is behind {line}", soft_wrap=True)
    bar = f" (bar {_SECONDS_BAR:.0f})" if "seconds_bar" in measured else ""
    results.print(f"Best validation NDCG@10 after {measured['seconds_to_best_validation']:.1f} s of training{bar}.\n")


def interval_text(estimate: dict[str, float], *, signed: bool = False) -> str:
    """A value with its interval, for a person."""
    sign = "+" if signed else ""
    return f"{estimate['value']:{sign}.4f} [{estimate['low']:{sign}.4f}, {estimate['high']:{sign}.4f}]"
