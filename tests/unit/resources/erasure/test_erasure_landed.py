"""A user in files that were dropped: refused ones go, and those that wait are named."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

import resources.erasure.places.landed as landed
from resources.base.errors import UploadRefused
from resources.landing.refused import list_refused, set_aside
from resources.storage.lake import write_bytes
from tests.unit.resources.erasure.world import ZOE, World

pytestmark = pytest.mark.databases

NOW = datetime(2025, 6, 1, tzinfo=UTC)
REFUSAL = UploadRefused("not_csv", "This is no CSV.")


def refuse(world: World, name: str, content: bytes) -> None:
    write_bytes(world.lake.landing(world.tenant, "users") / name, content)
    assert set_aside(world.lake, world.tenant, f"users/{name}", REFUSAL, size=len(content), now=NOW)


def kept(world: World) -> list[str]:
    return sorted(each.file for each in list_refused(world.lake, world.tenant))


def test_refused_files_that_name_the_user_or_may_are_removed(world: World) -> None:
    world.fill(ZOE)
    text = f"user_id\n{ZOE}\n".encode()
    refuse(world, "named.csv", text)
    refuse(world, "packed.csv", gzip.compress(text))
    refuse(world, "broken.csv.gz", b"\x1f\x8bno gzip")
    refuse(world, "hostile.parquet", b"PAR1 whatever PAR1")
    refuse(world, "wide.csv", text.decode().encode("utf-16"))
    refuse(world, "others.csv", b"user_id\nsomebody\n")
    certificate = world.erase(ZOE)
    assert kept(world) == ["users/others.csv"]
    assert world.places_with(ZOE) == []
    done = sorted(each.done for each in certificate.found if each.place.startswith("landing/refused/"))
    assert (
        sorted(each.rpartition("because it ")[2] for each in done) == ["may name the user"] * 3 + ["names the user"] * 2
    )


def test_a_long_file_is_not_read_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landed, "_MOST_BYTES", 1000)
    world.fill(ZOE)
    refuse(world, "bomb.csv", gzip.compress(b"nobody\n" * 10_000))
    world.erase(ZOE)
    assert kept(world) == []


def test_dropped_files_are_not_read_through_links(world: World, tmp_path: Path) -> None:
    world.fill(ZOE)
    secret = tmp_path / "secret.csv"
    secret.write_text(f"user_id\n{ZOE}\n")
    folder = world.lake.landing(world.tenant, "users")
    folder.mkdir(parents=True)
    Path(str(folder / "link.csv")).symlink_to(secret)
    Path(str(folder.parent / "interactions")).symlink_to(tmp_path, target_is_directory=True)
    write_bytes(folder / "hostile.parquet", b"PAR1 whatever PAR1")
    write_bytes(world.folder.taking("users") / "in-hand.csv", secret.read_bytes())
    named = [line for line in world.erase(ZOE).out_of_reach if "remove it" in line or "look into" in line]
    assert named == [
        "landing/blue/users/hostile.parquet may name the user: look into it yourself",
        "tenants/blue/landing/taking/users/in-hand.csv names the user: remove it yourself",
    ]
