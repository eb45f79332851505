"""Tenants that an earlier version, or a hand in the database, has left with values outside the contract.

Everything is drawn from one seed: settings, rows of uploads, events, changes of items and rules. Most of a tenant is
right, so that a run that leaves the rest out has something to train on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from resources.base.tenant import TenantId
from resources.control_db.items import ItemEdit, append_item_changes
from resources.control_db.tables.catalogue import RuleRow
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.uploads import list_uploads
from resources.events.log import Event, EventLog
from resources.storage.lake import write_parquet
from resources.uploads.contract.columns import Kind
from tests.defs.site import FIRST_DAY, Site, interactions_csv, items_csv, users_csv

NUMBERS: tuple[float, ...] = (
    float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 1e-300, -1.0, 0.0, 1e18, 2.0**70, 1e-12, 1e9,
)  # fmt: skip
ANYTHING: tuple[Any, ...] = (*NUMBERS, 10**30, "", "x", "NaN", True, None, [], {}, [1e308], [float("nan")])
TIMES = (
    datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC), datetime(1990, 1, 1, tzinfo=UTC),
    datetime(2262, 4, 12, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), None,
)  # fmt: skip
TEXTS = (None, "", " ", "\x00", "a\x00b", "NaN", "null", "x" * 5000, "\u200b", "'", "é", "e\u0301", "𝕌", "{{ ref }}")
SETTINGS: tuple[str, ...] = (
    *("rating_min", "rating_max", "weights", "training", "interaction_types", "unknown_setting"),
    *(f"weights.{name}" for name in ("view", "click", "purchase", "dislike", "rating_min", "rating_max", "cap", "bid")),
    *("training.model_type", "training.search", "training.search_trials", "training.search_minutes"),
    *("training.tolerance", "training.second_stage", "training.mode", "training.hyperparameters"),
    *("training.personalisation", "serving.exclude_seen"),
)
HYPERPARAMETERS: tuple[str, ...] = (
    *("dim", "layer_weights", "learning_rate", "temperature", "l2", "init_std", "half_life_days", "steps", "hidden"),
    *("popularity_weight", "popularity_half_life_days", "negatives", "patience", "evaluate_every", "validation_users"),
    *("feature_weight", "layer_learning_rate", "user_block", "batch_size", "loss", "beta2", "adapt", "no_such_one"),
)


@dataclass(frozen=True)
class Poisoned:
    """What was planted, in words for a person who looks at a seed that failed."""

    tenant: str
    settings: Mapping[str, Any]
    planted: Sequence[str]


def poison(site: Site, tenant: str, rng: random.Random) -> Poisoned:
    """Make a tenant and leave it with values that no way in takes today."""
    site.create(tenant)
    _upload(site, tenant, rng)
    planted = []
    for name, plant in (
        ("rows", _rows), ("events", _events), ("item changes", _item_changes), ("rules", _rules),
    ):  # fmt: skip
        if rng.random() < 0.6:
            planted.append(f"{name}: {plant(site, tenant, rng)}")
    settings = _settings(rng) if rng.random() < 0.8 else {}
    put_settings(site, tenant, settings)
    return Poisoned(tenant, settings, planted)


def put_settings(site: Site, tenant: str, settings: Mapping[str, Any]) -> None:
    """Store settings as they are, whatever they say."""
    with site.db.write() as session:
        row = session.get(TenantRow, tenant)
        assert row is not None
        row.settings = dict(settings)


def put_rule(site: Site, tenant: str, rule_id: str, rule: Any) -> None:
    """Store a rule as it is, whatever it says."""
    with site.db.write() as session:
        session.add(RuleRow(id=rule_id, tenant_id=tenant, rule=rule, created_at=FIRST_DAY, updated_at=FIRST_DAY))


def edit_rows(site: Site, tenant: str, kind: Kind, edit: Any) -> None:
    """Rewrite the accepted rows of the tenant's uploads of a kind."""
    for upload in list_uploads(site.db, TenantId(tenant), kind=kind.value):
        for part in sorted(site.lake(tenant).accepted(upload.upload_id).iterdir()):
            if part.suffix == ".parquet":
                write_parquet(part, edit(pl.read_parquet(str(part))))


def _upload(site: Site, tenant: str, rng: random.Random) -> None:
    shape = rng.choice(("shop", "shop", "shop", "one user", "one item", "one row", "one time", "dislikes", "ratings"))
    rows = {"one row": 1, "one user": 60, "one item": 60, "one time": 200}.get(shape, 500)
    text = interactions_csv(
        "",
        users=1 if shape == "one user" else 40,
        items=2 if shape == "one item" else 16,
        rows=rows,
        seed=rng.randrange(10**9),
    )
    lines = text.splitlines()
    if shape == "one time":
        lines = [lines[0], *(",".join((*line.split(",")[:3], "2026-01-01T00:00:00Z")) for line in lines[1:])]
    if shape == "dislikes":
        lines = [lines[0], *(line.replace(",view,", ",dislike,").replace(",click,", ",dislike,") for line in lines[1:])]
    if shape == "ratings":
        border = ("0", "10", "5", "1e-300")
        lines = [
            lines[0] + ",rating",
            *(",".join((*line.split(",")[:2], "rating", line.split(",")[3], rng.choice(border))) for line in lines[1:]),
        ]
    if rng.random() < 0.8:
        site.upload(tenant, Kind.ITEMS, items_csv("", items=16))
    if rng.random() < 0.5:
        site.upload(tenant, Kind.USERS, users_csv("", users=40))
    if rng.random() < 0.95:
        site.upload(tenant, Kind.INTERACTIONS, "\n".join([*lines, ""]))


def _rows(site: Site, tenant: str, rng: random.Random) -> str:
    kind = rng.choice(tuple(Kind))
    seed, share = rng.random(), rng.choice((0.02, 0.3, 1.0))
    told: list[str] = []

    def edit(frame: pl.DataFrame) -> pl.DataFrame:
        own = random.Random(seed)
        names = [n for n in frame.columns if n not in ("row_number", "upload_id", "deleted") and not n.startswith("e")]
        for name in own.sample(names, min(len(names), own.randint(1, 2))):
            cells = frame[name].to_list()
            for place in range(len(cells)):
                if own.random() < share:
                    cells[place] = _cell(own, frame.schema[name])
            told.append(f"{kind.value}.{name} {share:.0%}")
            frame = frame.with_columns(pl.Series(name, cells, dtype=frame.schema[name], strict=False))
        return frame

    edit_rows(site, tenant, kind, edit)
    return ", ".join(told)


def _cell(rng: random.Random, dtype: pl.DataType) -> Any:
    if dtype == pl.Float64:
        return rng.choice((*NUMBERS, None))
    if dtype == pl.Boolean:
        return rng.choice((True, False, None))
    if isinstance(dtype, pl.Datetime):
        return rng.choice(TIMES)
    return rng.choice((*TEXTS, "purchased", "ignore", "impression", "View"))


def _events(site: Site, tenant: str, rng: random.Random) -> str:
    when = FIRST_DAY + timedelta(days=30)
    events = [
        Event(
            event_id=f"e{n}",
            user_id=rng.choice(("u001", "new", *filter(None, TEXTS))),
            item_id=rng.choice(("i001", "i002", None, *TEXTS)),
            interaction_type=rng.choice(("view", "purchase", "rating", "impression", "", "purchased", "ignore")),
            timestamp=rng.choice((when, when + timedelta(seconds=n), *filter(None, TIMES))),
            **{  # type: ignore[arg-type]
                name: rng.choice((1.0, None, *(v for v in NUMBERS if v == v)))
                for name in ("rating", "quantity", "price", "duration_seconds")
            },
        )
        for n in range(rng.randint(1, 30))
    ]
    EventLog(site.db).append(TenantId(tenant), events, now=when + timedelta(hours=1))
    return str(len(events))


def _item_changes(site: Site, tenant: str, rng: random.Random) -> str:
    told = []
    for n in range(rng.randint(1, 8)):
        fields: dict[str, Any] = {"title": rng.choice(("Good", *TEXTS))}
        name = rng.choice(("price", "available", "created_at", "category", "tags", "title", "no_such_field"))
        fields[name] = rng.choice((*ANYTHING, "2026-01-01T00:00:00+00:00", 5.0))
        actions: tuple[Any, ...] = ("put", "patch", "delete", "upsert")
        edit = ItemEdit(f"i{n:03}", rng.choice(actions), fields)
        append_item_changes(site.db, TenantId(tenant), [edit], now=FIRST_DAY + timedelta(days=3))
        told.append(f"{edit.action} {fields}"[:80])
    return "; ".join(told)


def _rules(site: Site, tenant: str, rng: random.Random) -> str:
    told = []
    for n in range(rng.randint(1, 4)):
        rule: Any = {"kind": rng.choice(("pin", "boost", "hide", "sink")), "target": {"item_ids": ["i001"]}}
        name = rng.choice(("factor", "position", "starts_at", "target", "kind", "note", "bogus"))
        rule[name] = rng.choice(ANYTHING)
        put_rule(site, tenant, f"{tenant}-{n}", rng.choice((rule, rule, [], "rule", {})))
        told.append(f"{name}={rule[name]!r}"[:60])
    return "; ".join(told)


def _settings(rng: random.Random) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for _ in range(rng.randint(1, 4)):
        way = rng.random()
        if way < 0.35:
            name = rng.choice(HYPERPARAMETERS)
            training = settings.setdefault("training", {})
            if isinstance(training, dict):
                given = training.setdefault("hyperparameters", {})
                if isinstance(given, dict):
                    given[name] = rng.choice((*ANYTHING, [0.0, 0.0], [-1.0, 1.0]))
        elif way < 0.55:
            targets = ("purchased", "ignore", "", "VIEW", 3, None, "view", ["view"])
            settings["interaction_types"] = {rng.choice(("bought", "", "view", "x" * 400)): rng.choice(targets)}
        else:
            *path, last = rng.choice(SETTINGS).split(".")
            place: Any = settings
            for part in path:
                place = place.setdefault(part, {})
                if not isinstance(place, dict):
                    break
            else:
                choices = (*ANYTHING, "two_tower", "two_tower", True) if path == ["training"] else ANYTHING
                place[last] = rng.choice(choices)
    return settings
