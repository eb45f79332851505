"""A shop in which one user is everywhere, and a search of every byte for that user."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from sqlalchemy import inspect, text

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.decisions.decision import Decision, ShownItem, new_recommendation_id
from resources.decisions.store import DecisionStore, open_decisions
from resources.erasure.certificate import Certificate
from resources.erasure.perform import perform_erasure
from resources.events.export import export_events
from resources.events.log import Event, EventLog
from resources.jobs.kinds.erasures import Erasure, request_erasure
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake, TenantLake, read_bytes, write_bytes, write_json, write_parquet
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload
from tests.unit.bento_service.shop import contents, draft

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
ZOE = 'Zoë "Z", 2/x\'s'
"""An id that CSV has to quote, JSON to escape, and a path would stumble over."""
INTERACTIONS = ["user_id", "item_id", "interaction_type", "timestamp", "quantity"]


@dataclass(frozen=True)
class World:
    """One tenant of an installation."""

    home: Path
    lake: Lake
    db: ControlDb
    tenant: TenantId
    decisions_at: str = ""

    @cached_property
    def decisions(self) -> DecisionStore:
        return open_decisions(self.decisions_url)

    @property
    def decisions_url(self) -> str:
        """The URL of the decision log; in the home without another place."""
        return self.decisions_at or f"sqlite:///{self.home}/decisions.db"

    @property
    def folder(self) -> TenantLake:
        return self.lake.tenant(self.tenant)

    @property
    def tenant_store(self) -> TenantStore:
        return TenantStore(self.lake, self.db, self.tenant)

    @property
    def store(self) -> ReleaseStore:
        return ReleaseStore(self.folder)

    def upload(self, kind: Kind, header: list[str], *rows: list[str], packed: bool = False) -> str:
        buffer = io.StringIO()
        csv.writer(buffer).writerows([header, *rows])
        content = gzip.compress(buffer.getvalue().encode()) if packed else buffer.getvalue().encode()
        name = "f.csv.gz" if packed else "f.csv"
        upload = IncomingUpload(kind, content, filename=name, origin="cli", received_at=NOW)
        return store_upload(self.tenant_store, upload, UploadPolicy(TenantSettings(), max_bytes=100_000)).upload_id

    def track(self, *users: str) -> None:
        events = [
            Event(event_id=f"{user}/{n}", user_id=user, item_id="b1", interaction_type="view", timestamp=NOW)
            for n, user in enumerate(users)
        ]
        EventLog(self.db).append(self.tenant, events, now=NOW)

    def answer(self, *users: str) -> None:
        """Record an answer to each user."""
        self.decisions.add(
            [
                Decision(
                    recommendation_id=new_recommendation_id(NOW),
                    tenant=self.tenant,
                    at=NOW,
                    release_version="r1",
                    algorithm="lightgcn",
                    items=(ShownItem("b1", 1, 0.5, "model"),),
                    request_id="q",
                    user_id=user,
                )
                for user in users
            ]
        )

    def release(self, number: int, *users: str, live: bool = True) -> str:
        """A release of six items; each user has seen as many of them as their place says."""
        version = new_version(NOW + timedelta(days=number), f"{number:08x}")
        made = replace(
            contents("b"),
            user_ids=users,
            user_vectors=np.array([[n + 1, 1] for n in range(len(users))], dtype=np.float32),
            seen_indptr=np.cumsum([0, *range(1, len(users) + 1)], dtype=np.int64),
            seen_items=np.concatenate([np.arange(n + 1, dtype=np.int32) for n in range(len(users))]),
        )
        before = self.store.current()
        self.store.write(version, made, draft(self.tenant).model_copy(update={"replaces": before}))
        if live:
            self.store.promote(version, NOW, "test")
        return version

    def table(self, path: str, users: list[str], **columns: list[object]) -> None:
        write_parquet(self.folder.root / path, pl.DataFrame({"user_id": users, **columns}))

    def train(self, *users: str) -> None:
        rows = {"user_row": list(range(len(users)))}
        write_parquet(self.folder.training / "users.parquet", pl.DataFrame({"user_id": users, **rows}))
        write_json(self.folder.training / "split.json", {})
        write_bytes(self.folder.model / "release_users.npy", b"vectors")

    def fill(self, user: str) -> None:
        """Put the user everywhere, and `ann` and `bob` beside them."""
        time = "2024-05-01T10:00:00Z"
        self.upload(Kind.USERS, ["user_id", "ort"], [user, "Köln"], ["ann", "Ulm"])
        self.upload(
            Kind.INTERACTIONS,
            INTERACTIONS,
            [user, "b1", "view", time, "1"],
            ["ann", "b2", "view", time, "1"],
            [f" {user} ", "b3", "glance", time, "1"],
            ["ann", "b3", "glance", time, "1"],
            [user, "b4"],
            packed=True,
        )
        self.track(user, "ann")
        export_events(self.tenant_store, now=NOW)
        self.track(f"{user}2", user, "bob")
        self.answer(user, "ann", f"{user}2")
        for table in ("raw/interactions.parquet", "raw/users.parquet", "dbt/user_features.parquet"):
            self.table(table, [user, "ann", user], n=[1, 2, 3])
        write_parquet(self.folder.dbt / "item_features.parquet", pl.DataFrame({"item_id": ["b1"]}))
        self.train("ann", user)
        self.release(1, "ann", user, "bob")
        self.release(2, "ann", "bob", live=False)
        self.release(3, user, "ann")

    def request(self, user: str) -> Erasure:
        return request_erasure(self.db, self.tenant, user, NOW)

    def erase(self, user: str) -> Certificate:
        return perform_erasure(self.lake, self.db, self.decisions, self.request(user), NOW, home=self.home)

    def places_with(self, user: str) -> list[str]:
        """Every file of the tenant and every row of the two databases that holds the id."""
        root = self.folder.root
        names = sorted(file.name for file in list_files(root))
        found = [name for name in names if user in name or _holds(read_bytes(root / name), user)]
        for engine in (self.db.engine, self.decisions.engine):
            with engine.connect() as connection:
                for table in inspect(engine).get_table_names():
                    rows = connection.execute(text(f"SELECT * FROM {table}")).all()
                    found += [table for row in rows if any(_in_text(str(value), user) for value in row)]
        return found


def bytes_with(home: Path, user: str) -> dict[str, int]:
    """How often the bytes of the id are in each file below a folder, whatever kind of file that is."""
    forms = {user.encode(), json.dumps(user)[1:-1].encode()}
    counts = {
        str(path.relative_to(home)): sum(path.read_bytes().count(form) for form in forms)
        for path in home.rglob("*")
        if path.is_file()
    }
    return {name: count for name, count in counts.items() if count}


def _holds(data: bytes, user: str) -> bool:
    texts = [data, gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b""]
    if data[:4] == b"PAR1":
        table = pl.read_parquet(io.BytesIO(data))
        texts += [str(value).encode() for column in table for value in column.to_list()]
    return any(_in_text(each.decode(errors="replace"), user) for each in texts)


def _in_text(haystack: str, user: str) -> bool:
    """As it is, as CSV and as JSON write it; `Zoë2` is somebody else."""
    return any(form in haystack.replace(f"{form}2", "") for form in _forms(user))


def _forms(user: str) -> Iterator[str]:
    yield user
    yield user.replace('"', '""')
    yield user.replace('"', '\\"')
    yield user.replace('"', '\\"').encode("ascii", "backslashreplace").decode().replace("\\xeb", "\\u00eb")
