"""Values at the edges of what the contract accepts: no run fails over them, whatever the tenant trains."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from resources.base.tenant import TenantId
from resources.control_db.tenants import change_settings
from resources.uploads.contract.columns import Kind
from tests.defs.site import Site, open_shop

ITEMS = [
    "item_id,title,category,brand,price,tags,available,created_at",
    "BI001,Case,LEFT,x,1e308,|||,true,0001-01-01T00:00:00Z",
    "bI001,Case,left,x,1.7976931348623157e308,a|a|a,false,9999-12-31T23:59:59Z",
    '"q""uo\'te","multi\nline",cat,b,5e-324,"a|b",true,',
    "椅子,𝕌,\u0130,ß,0,,,",
    "nan1,Nan,nan,inf,1,nan,true,",
    "x; drop table,--,${{ref}},{{ 1 }},2,x,true,",
    "z" * 256 + ",t," + "c" * 2000 + ",b,3," + "|".join(f"t{n}" for n in range(3000)) + ",true,",
    *(f"many{n},T {n},cat{n},brand{n},{n}e300,tag{n}|tag{n + 1},true," for n in range(1500)),
]
INTERACTIONS = [
    "user_id,item_id,interaction_type,timestamp,rating,duration_seconds,quantity,price,session_id,event_id",
    *(
        line
        for n, time in enumerate(
            ("1990-01-01T00:00:00Z", "2000-02-29T23:59:59.999999+14:00", "2026-01-01T00:00:00-14:00")
        )
        for line in (
            f"u{n},BI001,purchase,{time},,1e308,1e308,1e308,s,e{n}",
            f"u{n},bi001,purchase,{time},,1e308,1e308,1.7e308,,",
            f"u{n},bI001,rating,{time},10,0,0,0,,",
            f"U{n},bi002,rating,{time},0,0,0,0,,",
        )
    ),
    *(
        f"bulk,many{n % 1500},view,2026-02-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z,,,,,s{n},"
        for n in range(5000)
    ),
    *(f"bulk{n},many{n},dislike,2026-02-02T00:{n // 60:02}:{n % 60:02}Z,,,,,," for n in range(300)),
]
USERS = [
    'user_id,country,ÇOUNTRY,extra_country,upload_id,row_number,user_id_,"a b",attributes,received_at',
    "u1,a,b,c,d,e,f,g,h,i",
    '"u""2",",",,,,,,,,',
]


@pytest.mark.parametrize(
    "training", [{}, {"model_type": "two_tower", "second_stage": True}], ids=["lightgcn", "two_tower"]
)
def test_a_run_works_with_every_value_that_is_accepted(tmp_path: Path, training: dict[str, str | bool]) -> None:
    site = Site(tmp_path / "home")
    parse_manifest(PROJECT_DIR, site.settings.dbt_target)
    site.create("blue")
    open_shop(site, "blue", "b")
    changes = {f"training.{name}": value for name, value in training.items()}
    change_settings(site.db, TenantId("blue"), changes, now=datetime.now(UTC))
    for kind, lines in ((Kind.ITEMS, ITEMS), (Kind.INTERACTIONS, INTERACTIONS), (Kind.USERS, USERS)):
        report = site.upload("blue", kind, "\n".join([*lines, ""]))
        assert (report.rows_rejected, report.rows_accepted) == (0, len(lines) - 1), report.validation_errors
    outcome = site.run("blue")
    assert outcome.success, outcome
    assert site.releases("blue").current() is not None
