"""The same lake twice: a folder, and a prefix in a real object store."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from resources.storage.lake import Lake
from tests.s3.server import S3Server

BACKENDS = ["folder", "s3"]


@pytest.fixture
def s3_lake(s3_server: S3Server, tmp_path: Path) -> Lake:
    """A lake of this test alone; its prefix has a blank and an umlaut."""
    url = f"s3://lake/{uuid.uuid4().hex}/ein Präfix"
    return Lake.open(url, scratch=tmp_path / "scratch", s3_endpoint=s3_server.endpoint)


@pytest.fixture(params=BACKENDS)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake of this test alone, on both."""
    if request.param == "folder":
        return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    found = request.getfixturevalue("s3_lake")
    assert isinstance(found, Lake)
    return found
