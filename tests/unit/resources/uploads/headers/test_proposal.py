"""Files that cannot be read by themselves: what is proposed, and how to accept it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from resources.base.errors import InvalidInput, UploadRefused
from resources.tenants.settings import FileMapping, TenantSettings, UploadSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.headers.mapping import GivenMapping, laid_over, mapping_of
from resources.uploads.headers.proposal import propose

SETTINGS = TenantSettings()


def refusal(inspect: Any, kind: str, content: str) -> UploadRefused:
    with pytest.raises(UploadRefused) as refused:
        inspect(kind, content)
    return refused.value


def test_a_missing_column_is_answered_with_the_mapping_that_makes_it_readable(inspect: Any) -> None:
    content = "Ref,Produkt,Preis\n1,Lampe,5\n"
    refused = refusal(inspect, "items", content)
    assert refused.reason == "missing_column"
    assert "Ref as item_id, Produkt as title" in refused.message
    assert "--map 'Ref=item_id' --map 'Produkt=title'" in refused.message
    given = json.loads(re.search(r"mapping=(\{.*?\}\})", refused.message)[1])
    settings = laid_over(SETTINGS, Kind.ITEMS, mapping_of(Kind.ITEMS, given))
    assert inspect("items", content, settings=settings).report.rows_accepted == 1


def test_a_header_that_is_its_only_value_is_the_type(inspect: Any) -> None:
    refused = refusal(inspect, "interactions", "favori,UserId,ItemId,Timestamp\nfavori,1,2,2022-06-24 21:20:11\n")
    assert "favori as interaction_type" in refused.message


def test_without_types_or_times_the_message_says_what_to_do(inspect: Any) -> None:
    no_type = refusal(inspect, "interactions", "USER_ID,ITEM_ID,TIMESTAMP\n298,474,884182806\n")
    assert "--default-type purchase" in no_type.message
    no_time = refusal(inspect, "interactions", "user_id,item_id,interaction_type\nu1,a,purchase\n")
    assert "Every interaction needs its time" in no_time.message


def test_two_headers_for_one_column_are_both_named(inspect: Any) -> None:
    refused = refusal(inspect, "items", "product_id,sku,title\n1,a,Lamp\n")
    assert "product_id and sku could each be item_id" in refused.message


def test_a_first_line_of_data_is_no_header(inspect: Any) -> None:
    assert refusal(inspect, "items", "1,A,2\n2,B,3\n").reason == "no_header"


def test_contents_say_what_headers_do_not() -> None:
    headers = ("c1", "c2", "c3", "c4")
    sample = (("2024-05-01", "2024-05-02"), ("view", "purchase"), ("i1", "i2"), ("ann", "bob"))
    found = propose(Kind.INTERACTIONS, headers, sample, UploadSettings(), known_items=["i1", "i2"])
    assert found.mapping.columns == {"c1": "timestamp", "c2": "interaction_type", "c3": "item_id", "c4": "user_id"}
    assert (found.missing, found.reasons["c3"]) == ((), "its cells are ids of the catalogue")


def test_what_could_be_two_things_is_not_proposed() -> None:
    found = propose(Kind.INTERACTIONS, ("a", "b", "time", "event"), (("1",), ("2",), ("3",), ("4",)), UploadSettings())
    assert set(found.missing) == {"user_id", "item_id"}
    assert found.mapping.columns == {"time": "timestamp", "event": "interaction_type"}


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("items", {"columns": {"a": "colour"}}, "columns.a"),
        ("items", {"columns": {"a": "item_id", "b": "item-id"}}, "columns.b"),
        ("items", {"columns": {"A b": "item_id", "ab": "title"}}, "columns.ab"),
        ("items", {"columns": {"--": "title"}}, "columns.--"),
        ("items", {"default_interaction_type": "view"}, "default_interaction_type"),
        ("items", {"interaction_types": {"a": "view"}}, "interaction_types"),
        ("interactions", {"interaction_types": {"a": "sold"}}, "interaction_types.a"),
        ("interactions", {"default_interaction_type": "sold"}, "default_interaction_type"),
        ("interactions", {"separator": ":"}, "separator"),
        ("interactions", {"colums": {}}, "colums"),
        ("interactions", "no json", "mapping"),
        ("interactions", "[1]", "mapping"),
    ],
)
def test_a_mapping_that_leads_nowhere_is_refused_when_it_is_set(kind: str, given: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        mapping_of(Kind(kind), given)
    assert [each.field for each in refused.value.details] == [field]


def test_a_mapping_is_read_as_people_write_it() -> None:
    given = {"columns": {"Ref": "Item ID", "What": "name", "x": "ignore"}}
    mapping = mapping_of(Kind.ITEMS, given)
    assert mapping.columns == {"Ref": "item_id", "What": "title", "x": None}
    types = {"default_interaction_type": "purchase", "interaction_types": {"sold": "purchase", "ping": "ignore"}}
    assert mapping_of(Kind.INTERACTIONS, types).interaction_types == types["interaction_types"]


def test_what_came_with_a_file_goes_over_what_the_tenant_has_set() -> None:
    known = FileMapping(columns={"Ref": "item_id", "Was": "title"}, separator=";")
    settings = TenantSettings(uploads=UploadSettings(mappings={"items": known}), interaction_types={"a": "view"})
    given = GivenMapping(columns={"ref": "brand", "Nr": "item_id"}, interaction_types={"b": "like"})
    merged = laid_over(settings, Kind.ITEMS, given)
    assert merged.uploads.mappings["items"] == FileMapping(
        columns={"Was": "title", "ref": "brand", "Nr": "item_id"}, separator=";"
    )
    assert merged.interaction_types == {"a": "view", "b": "like"}
    assert settings.uploads.mappings["items"] == known
