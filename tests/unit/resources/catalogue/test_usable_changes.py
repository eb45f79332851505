"""Changes of items that an earlier version stored: what no item may have is left out, and the rest counts."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from resources.catalogue.changes import overlay_of
from resources.catalogue.rows import change_rows, upload_rows
from resources.catalogue.usable import count_unusable, usable_changes
from resources.control_db.items import ItemChange
from resources.storage.lake import Lake

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def change(fields: Any, action: Any = "put") -> ItemChange:
    return ItemChange("lamp", action, fields, 1, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("price", value) for value in (math.nan, math.inf, -1, 10**400, "cheap", True, [], {})),
        *(("title", value) for value in (3, ["a"], True)),
        *(("available", value) for value in ("yes", 1, None, [])),
        *(("created_at", value) for value in ("yesterday", 5, "2026-01-01T00:00:00", math.nan)),
    ],
)
def test_a_field_that_no_item_may_have_counts_as_left_out(name: str, value: Any) -> None:
    fields = {"title": "Lamp", "category": "Light", name: value}
    (usable,) = usable_changes([change(fields)])
    kept = {**fields} if value is None else {key: each for key, each in fields.items() if key != name}
    assert usable.fields == kept
    assert count_unusable([change(fields)]) == (value is not None)


def test_what_is_no_change_at_all_is_none() -> None:
    assert usable_changes([change({"title": "x"}, "upsert")]) == ()
    (empty,) = usable_changes([change(["title"])])
    assert empty.fields == {}
    good = change({"title": "Lamp", "price": 5})
    assert usable_changes([good])[0] is good


def test_the_next_run_and_the_next_answer_do_without_them(tmp_path: Any) -> None:
    bad = [change({"title": "Lamp", "price": "cheap", "tags": 3}), change({}, "upsert")]
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    (row,) = change_rows(bad, upload_rows(lake, [])).to_dicts()
    assert (row["title"], row["price"], row["tags"]) == ("Lamp", None, None)
    overlay = overlay_of(bad, known=())
    assert overlay.opened["lamp"].title == "Lamp"
    assert overlay.opened["lamp"].price is None
