"""A quantity below 0 takes pieces back, of what has pieces; for a strict tenant it is an error, as it was."""

from __future__ import annotations

from typing import Any

import pytest

from resources.tenants.settings import TenantSettings, UploadSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.parsing.validation import rules_fingerprint

HEADER = "user_id,item_id,interaction_type,timestamp,quantity,price"
STRICT = TenantSettings(uploads=UploadSettings(strictness="strict"))


@pytest.mark.parametrize(
    ("kind", "quantity", "accepted"),
    [("purchase", "-2", True), ("add_to_cart", "-1", True), ("purchase", "0", True), ("view", "-1", False),
     ("like", "-0.5", False), ("view", "0", True)],
)  # fmt: skip
def test_pieces_of_purchases_and_carts_may_come_back(inspect: Any, kind: str, quantity: str, accepted: bool) -> None:
    found = inspect("interactions", f"{HEADER}\nu,i,{kind},2024-05-01,{quantity},5\n").report
    assert found.rows_accepted == accepted
    assert found.errors_by_rule == ({} if accepted else {"quantity.negative": 1})


def test_prices_stay_at_least_0_and_may_be_0(inspect: Any) -> None:
    rows = ["u,i,purchase,2024-05-01,-1,-5", "u,i,purchase,2024-05-02,1,0"]
    found = inspect("interactions", "\n".join([HEADER, *rows, ""])).report
    assert (found.rows_accepted, found.errors_by_rule) == (1, {"price.negative": 1})


def test_a_strict_tenant_has_no_returns(inspect: Any) -> None:
    found = inspect("interactions", f"{HEADER}\nu,i,purchase,2024-05-01,-1,5\n", settings=STRICT).report
    assert found.errors_by_rule == {"quantity.negative": 1}
    assert rules_fingerprint(Kind.INTERACTIONS, STRICT) != rules_fingerprint(Kind.INTERACTIONS, TenantSettings())
