"""The suites of answers run twice: for a release that answers by vectors, and for one that answers by an item table."""

from __future__ import annotations

import pytest

_SUITES = (
    "test_answer_cache",
    "test_batch",
    "test_category_paths",
    "test_fresh_users",
    "test_paging",
    "test_receipts",
    "test_recommendation_exports",
    "test_recommendations",
    "test_why_not",
)
_OF_VECTORS = {
    "test_a_scenario_and_parquet",
    "test_a_second_stage_that_cannot_be_used_degrades_the_answer",
    "test_a_user_id_may_hold_any_letters",
    "test_an_event_of_a_known_user_moves_the_next_answer",
    "test_an_item_that_nobody_has_met_is_found_by_its_content",
    "test_every_answer_has_its_own_receipt",
    "test_seen_items_are_included_on_request",
    "test_similar_items",
    "test_two_tenants_get_only_their_own",
}
"""Those whose expected answers are products of vectors; `test_item_table_answers` has what is true of tables there."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    suite = metafunc.module.__name__.rpartition(".")[2]
    if "blue" in metafunc.fixturenames and suite in _SUITES:
        algorithms = ["lightgcn"] if metafunc.definition.name in _OF_VECTORS else ["lightgcn", "item_knn"]
        metafunc.parametrize("blue", algorithms, indirect=True)
