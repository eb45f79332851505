"""Headers of shops, in the words that shops use, as columns of the contract."""

from __future__ import annotations

from itertools import combinations

import pytest

from resources.tenants.settings import FileMapping, UploadSettings
from resources.uploads.contract.columns import Kind, columns
from resources.uploads.headers.layout import Layout, missing_columns, read_headers, recognise
from resources.uploads.headers.words import LIKELY, SURE, key_of, likely_words, sure_words

LENIENT = UploadSettings()
STRICT = UploadSettings(strictness="strict")


def read(kind: str, headers: str, settings: UploadSettings = LENIENT) -> Layout:
    return read_headers(Kind(kind), headers.split(","), settings)


def codes(layout: Layout) -> dict[str, tuple[str, ...]]:
    return {each.code: each.examples for each in layout.findings}


@pytest.mark.parametrize(
    ("kind", "headers", "targets"),
    [
        ("items", "Product ID,Product Name,Price", "item_id title price"),
        ("items", "itemId,title,price", "item_id title price"),
        ("items", "ITEM-ID, Name ,Brand", "item_id title brand"),
        ("items", "item_id\u200b,title,price", "item_id title price"),
        ("items", "Artikelnummer,Bezeichnung,Preis,Kategorie", "item_id title price category"),
        ("items", "id_produit,Nom du produit,Prix,Catégorie", "item_id title price category"),
        ("items", "SKU,Nombre,precio,Categoría", "item_id title price category"),
        ("items", "Codice articolo,Nome prodotto,Prezzo,Marca", "item_id title price brand"),
        ("items", "productnummer,Productnaam,Prijs,Merk", "item_id title price brand"),
        ("items", "ID_produto,Nome do produto,Preço", "item_id title price"),
        ("items", "kod produktu,nazwa,cena", "item_id title price"),
        ("items", "item_id,title,price (EUR)", "item_id title price"),
        ("users", "Customer ID,First Name", "user_id None"),
        ("users", "Kundennummer,Ort", "user_id None"),
        ("interactions", "event_time,event_type,product_id,customer_id", "timestamp interaction_type item_id user_id"),
        ("interactions", "visitorid,itemid,event,timestamp", "user_id item_id interaction_type timestamp"),
        (
            "interactions",
            "user_id:token,item_id:token,rating:float,timestamp:float",
            "user_id item_id rating timestamp",
        ),
        (
            "interactions",
            "Kunden-Nr.,Artikel-Nr.,Aktion,Datum,Menge",
            "user_id item_id interaction_type timestamp quantity",
        ),
    ],
)
def test_what_shops_write_is_read(kind: str, headers: str, targets: str) -> None:
    layout = read(kind, headers)
    assert " ".join(str(target) for target in layout.targets) == targets
    assert missing_columns(Kind(kind), layout) == ()


def test_a_better_name_leaves_the_word_alone() -> None:
    layout = read("items", "product_id,item_id,title,name")
    assert layout.targets == (None, "item_id", "title", None)
    assert "header_read_as" not in codes(layout)
    assert layout.ignored == ("product_id", "name")


def test_the_exact_spelling_wins_over_another() -> None:
    assert read("items", "Item ID,item_id,title").targets == (None, "item_id", "title")


def test_two_words_for_one_column_decide_nothing() -> None:
    layout = read("items", "product_id,sku,title")
    assert [column.name for column in missing_columns(Kind.ITEMS, layout)] == ["item_id"]
    assert codes(layout)["header_ambiguous"] == ("product_id", "sku")


def test_strict_reads_names_and_aliases_alone() -> None:
    assert read("items", " ITEM_ID ,Name", STRICT).targets == ("item_id", "title")
    assert read("items", "itemId,title", STRICT).targets == (None, "title")
    assert read("interactions", "user_id,item_id,timestamp,rating", STRICT).made == frozenset()


def test_a_mapping_wins_and_tells_what_it_cannot_do() -> None:
    mapping = FileMapping(columns={"Ref.": "item_id", "title": None, "Label": "title", "gone": "price", "x": "colour"})
    settings = UploadSettings(mappings={"items": mapping})
    layout = read("items", "REF,item_id,title,label,x", settings)
    assert layout.targets == ("item_id", None, None, "title", None)
    assert codes(layout)["mapped_header_absent"] == ("gone",)
    assert codes(layout)["mapped_column_unknown"] == ("x", "colour")


def test_repeated_headers_are_told_apart_and_ours_fill_each_other() -> None:
    layout = read("items", "item_id,title,notes,Notes,item_id")
    assert layout.names == ("item_id", "title", "extra_notes", "extra_notes_2", "extra_item_id_2")
    assert layout.headers == ("item_id", "title", "notes", "Notes_2", "item_id_2")
    assert [step.needs for step in layout.steps] == [("item_id", "extra_item_id_2")]
    assert codes(layout)["header_repeated"] == ("item_id", "notes")


@pytest.mark.parametrize(
    ("headers", "mapping", "text", "code"),
    [
        ("user_id,item_id,timestamp,rating", FileMapping(), "rating", "type_of_ratings"),
        ("userId,movieId,rating,timestamp", FileMapping(), "rating", "default_type"),
        ("user_id,item_id,timestamp", FileMapping(default_interaction_type="like"), "like", "default_type"),
        ("user_id,item_id,timestamp,rating", FileMapping(default_interaction_type="view"), "view", "default_type"),
    ],
)
def test_rows_without_a_type_column_have_one_type(headers: str, mapping: FileMapping, text: str, code: str) -> None:
    layout = read("interactions", headers, UploadSettings(mappings={"interactions": mapping}))
    assert [getattr(step, "text", None) for step in layout.steps] == [text]
    assert codes(layout)[code] == (text,)
    assert recognise(Kind.INTERACTIONS, headers.split(","), UploadSettings(mappings={"interactions": mapping})).complete


def test_a_type_column_needs_no_default() -> None:
    settings = UploadSettings(mappings={"interactions": FileMapping(default_interaction_type="like")})
    assert read("interactions", "user_id,item_id,timestamp,event", settings).steps == ()


def test_the_title_of_the_first_language_is_the_title() -> None:
    layout = read("items", "item_id,title_fr,Title (DE),name-en")
    assert layout.targets == ("item_id", None, None, "title")
    assert layout.ignored == ("title_fr", "Title (DE)")


def test_every_word_means_one_column() -> None:
    for kind, words in SURE.items():
        keys = {column: {key_of(word) for word in synonyms} for column, synonyms in words.items()}
        for (one, mine), (other, theirs) in combinations(keys.items(), 2):
            assert not mine & theirs, (kind, one, other)
        listed = {column.name for column in columns(kind)}
        assert set(words) | set(LIKELY[kind]) <= listed
        assert not set(likely_words(kind)) & set(sure_words(kind)), "what is sure is not proposed"
        assert not {key_of(name) for name in listed} & set(sure_words(kind)), "the names of the contract come first"
