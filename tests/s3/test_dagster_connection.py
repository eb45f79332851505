"""Dagster's own connection to the object store lists what the lake's does."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.base.errors import ConfigurationError, LakeUnavailable
from resources.dagster_resources import PlatformResource
from resources.storage.lake import Lake, write_bytes
from resources.storage.listing import list_files
from tests.s3.server import S3Server


@pytest.fixture
def platform(s3_lake: Lake, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformResource:
    monkeypatch.setenv("RECSAAS_LAKE", str(s3_lake.root))
    monkeypatch.setenv("RECSAAS_S3_ENDPOINT", s3_server.endpoint)
    return PlatformResource(home=str(tmp_path))


def test_both_see_the_same_files(platform: PlatformResource, s3_lake: Lake) -> None:
    assert list(platform.list_landing()) == []
    for name in ("blue/items/ü 1.csv", "blue/items/.refused/x", "green/users/2.csv"):
        write_bytes(s3_lake.landing_root / name, name.encode())
    write_bytes(s3_lake.root / "landing-not" / "x", b"x")
    assert set(platform.list_landing()) == set(list_files(s3_lake.landing_root))
    assert len(list(platform.list_landing())) == 3


def test_what_goes_wrong_is_said_in_words(platform: PlatformResource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_S3_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(LakeUnavailable, match="does not answer"):
        list(PlatformResource(home=platform.home).list_landing())


def test_a_bucket_that_is_not_there(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_LAKE", "s3://no-such-bucket/x")
    monkeypatch.setenv("RECSAAS_S3_ENDPOINT", s3_server.endpoint)
    with pytest.raises(ConfigurationError, match="does not exist"):
        list(PlatformResource(home=str(tmp_path)).list_landing())
