"""Listing everybody's landing folders in an object store, as the sensors do."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.base.errors import ConfigurationError, LakeUnavailable
from resources.landing.folders import list_landing
from resources.storage.lake import Lake, write_bytes
from tests.s3.server import S3Server

pytestmark = pytest.mark.xdist_group("s3")


def test_everything_in_the_landing_folders_is_listed_and_nothing_else(s3_lake: Lake) -> None:
    assert list(list_landing(s3_lake)) == []
    names = {"blue/items/ü 1.csv", "blue/items/.refused/x", "green/users/2.csv"}
    for name in names:
        write_bytes(s3_lake.landing_root / name, name.encode())
    write_bytes(s3_lake.root / "landing-not" / "x", b"x")
    assert {file.name for file in list_landing(s3_lake)} == names
    assert {file.name for file in list_landing(s3_lake, "green")} == {"green/users/2.csv"}


def test_what_goes_wrong_is_said_in_words(s3_lake: Lake, tmp_path: Path) -> None:
    lake = Lake.open(str(s3_lake.root), scratch=tmp_path, s3_endpoint="http://127.0.0.1:1")
    with pytest.raises(LakeUnavailable, match="does not answer"):
        list(list_landing(lake))


def test_a_bucket_that_is_not_there(s3_server: S3Server, tmp_path: Path) -> None:
    lake = Lake.open("s3://no-such-bucket/x", scratch=tmp_path, s3_endpoint=s3_server.endpoint)
    with pytest.raises(ConfigurationError, match="does not exist"):
        list(list_landing(lake))
