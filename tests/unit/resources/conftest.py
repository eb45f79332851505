from __future__ import annotations

from pathlib import Path

import pytest

from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import open_shop
from tests.unit.resources.exporting import Desk


@pytest.fixture
def desk(tmp_path: Path, db: ControlDb) -> Desk:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    shop = open_shop("blue", lake=lake, db=db, prefix="b")
    shop.release()
    return Desk(shop)
