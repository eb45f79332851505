"""The right answer to each file of the folder of cases: real exports of shops and clients, each one of a kind.

The kinds: `;`, tab or pipe; decimal commas; other encodings; odd cells; rows that are no rows; headers of shop systems;
names of types; units of time; ids that a program has changed; Parquet of data frames.
"""

from __future__ import annotations

from tests.cases.right import ANY, AnyOf, Case, Refused, Taken

MAPPING = ("mapping", "--map")


def items(*right: Taken | Refused, **settings: object) -> Case:
    return Case("items", right, settings)


def interactions(*right: Taken | Refused, **settings: object) -> Case:
    return Case("interactions", right, settings)


def users(*right: Taken | Refused) -> Case:
    return Case("users", right)


def some(first: int, last: int) -> range:
    """From `first` to `last`, both included."""
    return range(first, last + 1)


_MAY = "2024-05-31T"
_NEW_YEARS_EVE = "2024-12-31T"
_SECOND = "2024-05-31T14:05:00Z"
_TYPES = "interaction_type"

EXPECTED: dict[str, Case] = {
    # Dialects.
    "01-semicolons-decimal-comma.csv": items(
        Taken((2, 0, 0), {2: {"item_id": "1", "title": "Lampe", "price": 19.99}, 3: {"price": 1249.0}},
              reading={"separator": ";"}, columns={"price": {"decimal": ","}}),
    ),
    "02-semicolons-plain.csv": items(
        Taken((2, 0, 0), {2: {"item_id": "1", "category": "Licht"}, 3: {"title": "Stuhl"}}, reading={"separator": ";"})
    ),
    "03-sep-line.csv": items(
        Taken((1, 0, 0), {3: {"item_id": "1", "price": 19.99}}, reading={"separator": ",", "header_line": 2})
    ),
    "04-decimal-comma-quoted.csv": items(
        Taken((2, 0, 0), {2: {"price": 19.99}, 3: {"price": 7.5}}, columns={"price": {"decimal": ","}})
    ),
    "05-thousands.csv": items(Taken((4, 0, 0), {line: {"price": 1299.0} for line in (2, 3, 4, 5)})),
    "09-windows-1252.csv": items(
        Taken((1, 0, 0), {2: {"title": "Stühle für Gäste", "price": 10.0}}, reading={"encoding": "windows-1252"})
    ),
    "09b-windows-1252-semicolon.csv": items(
        Taken((1, 0, 0), {2: {"title": "Stühle für Gäste", "price": 10.5}},
              reading={"encoding": "windows-1252", "separator": ";"}),
    ),
    "10-utf16.csv": items(
        Taken((1, 0, 0), {2: {"item_id": "1", "title": "Stühle", "price": 10.0}},
              reading={"encoding": AnyOf("utf-16", "utf-16-le"), "separator": "\t"}),
    ),
    "10b-utf8-bom.csv": items(Taken((1, 0, 0), {2: {"item_id": "1", "title": "Stühle"}})),
    "20-mac-cr.csv": items(Taken((2, 0, 0), {2: {"item_id": "1"}, 3: {"item_id": "2"}}), Refused(("line",))),
    "40-pipe-separated.csv": items(Taken((1, 0, 0), {2: {"item_id": "1", "price": 2.0}}, reading={"separator": "|"})),
    # Text as it is.
    "12-html-description.csv": items(
        Taken((2, 0, 0), {2: {"item_id": "1", "title": "Lamp"}, 4: {"item_id": "2", "title": "Mug"}})
    ),
    "37-quote-inch.csv": items(
        Taken((3, 0, 0), {2: {"title": '19" Rack'}, 3: {"title": '24" Monitor'}, 4: {"title": '27" and 32" Screen'}}),
    ),
    "38-backslash-escape.csv": items(
        Taken((2, 0, 0), {2: {"description": 'say "hi", now'}, 3: {"description": "x"}}),
        Taken((1, 1, 0), {3: {"description": "x"}}, said=(("quote", "fields"),)),
    ),
    "39-single-quoted.csv": items(
        Taken((1, 0, 0), {2: {"item_id": "1", "title": "A, big", "price": 2.0}}),
        Taken((0, 1, 0), said=("fields",)),
    ),
    # Numbers, booleans, times that are odd.
    "24-postgres-booleans.csv": items(Taken((2, 0, 0), {2: {"available": True}, 3: {"available": False}})),
    "25-mysql-zero-date.csv": items(
        Taken((2, 0, 0), {2: {"created_at": None}, 3: {"created_at": f"{_MAY}00:00:00Z"}}, noticed={"created_at": 1})
    ),
    "26-date-formats-created.csv": items(
        Taken((12, 0, 0), {
            2: {"created_at": f"{_NEW_YEARS_EVE}14:05:00Z"},
            3: {"created_at": AnyOf(f"{_NEW_YEARS_EVE}14:05:00Z", None)},
            4: {"created_at": f"{_NEW_YEARS_EVE}00:00:00Z"},
            5: {"created_at": f"{_NEW_YEARS_EVE}00:00:00Z"},
            6: {"created_at": f"{_NEW_YEARS_EVE}00:00:00Z"},
            7: {"created_at": f"{_NEW_YEARS_EVE}09:05:00Z"},
            8: {"created_at": AnyOf(f"{_NEW_YEARS_EVE}00:00:00Z", None)},
            9: {"created_at": AnyOf(f"{_NEW_YEARS_EVE}13:55:12Z", None)},
            10: {"created_at": f"{_NEW_YEARS_EVE}13:05:00Z"},
            11: {"created_at": f"{_NEW_YEARS_EVE}13:05:00Z"},
            12: {"created_at": f"{_NEW_YEARS_EVE}13:05:00.123456Z"},
            13: {"created_at": f"{_NEW_YEARS_EVE}14:05:00Z"},
        }),
    ),
    "28-negative-price.csv": items(
        Taken((1, 1, 0), {3: {"price": 0.0}}, errors={"price.negative": 1}),
        Taken((2, 0, 0), {2: {"price": None}, 3: {"price": 0.0}}, noticed={"price": 1}),
    ),
    "46-price-range-variants.csv": items(
        Taken((9, 0, 0), {
            2: {"price": None}, 3: {"price": AnyOf(None, 10.0)}, 4: {"price": None}, 5: {"price": 1000.0},
            6: {"price": 0.5}, 7: {"price": 5.0}, 8: {"price": 5.0}, 9: {"price": AnyOf(None, 1000.0)},
            10: {"price": AnyOf(3.5, None)},
        }, noticed={"price": ANY}),
    ),
    # The shape of rows.
    "13-header-repeated.csv": items(
        Taken((3, 1, 0), {2: {"item_id": "1"}, 3: {"item_id": "2"}, 5: {"item_id": "3"}}, said=("header",))
    ),
    "16-trailing-comma-header.csv": items(Taken((2, 0, 0), {2: {"price": 2.0}, 3: {"price": 3.0}})),
    "18-short-rows.csv": items(
        Taken((3, 0, 0), {2: {"price": 2.0, "brand": "x"}, 3: {"price": 3.0, "brand": None},
                          4: {"price": None, "brand": None}}),
    ),
    "19-blank-rows-commas.csv": items(Taken((2, 0, 0), {2: {"item_id": "1"}, 5: {"item_id": "2"}}, noticed={None: 4})),
    "21-title-row-above-header.csv": items(
        Taken((1, 0, 0), {4: {"item_id": "1", "price": 2.0}}, reading={"header_line": 3})
    ),
    "22-no-header.csv": items(Refused(("item_id", "title", "header"))),
    "23-dup-notes-columns.csv": items(Taken((1, 0, 0), {2: {"item_id": "1", "price": 2.0}})),
    "43-only-header.csv": items(Refused((("no rows", "row"),)), Taken((0, 0, 0))),
    "44-index-column.csv": items(Taken((2, 0, 0), {2: {"item_id": "1"}, 3: {"item_id": "2"}})),
    # Ids that a program has changed.
    "07-scientific-ids.csv": items(Taken((0, 3, 0), said=(("digits",),))),
    "08-gtin-leading-zeros.csv": items(
        Taken((3, 0, 0), {2: {"item_id": "00012345678905"}, 3: {"item_id": "0017"}, 4: {"item_id": "17"}})
    ),
    "27-excel-formula-ids.csv": items(
        Taken((2, 0, 0), {2: {"item_id": "00017"}, 3: {"item_id": "00018"}}, noticed={"item_id": 2})
    ),
    "29-float-ids.csv": items(
        Taken((2, 0, 0), {2: {"item_id": "17850"}, 3: {"item_id": "17851"}}, noticed={"item_id": 2})
    ),
    "35-id-case-pairs.csv": items(
        Taken((3, 0, 0), {2: {"item_id": "SKU-1"}, 3: {"item_id": "sku-1"}, 4: {"item_id": "Sku-1"}})
    ),
    "36-nfc-nfd.csv": items(Taken((1, 1, 0), {2: {"item_id": "café"}}, said=("line 2",))),
    "47-zero-width-header.csv": items(Taken((1, 0, 0), {2: {"item_id": "1"}})),
    "47c-bom-quoted.csv": items(Taken((1, 0, 0), {2: {"item_id": "1", "price": 2.0}})),
    "60-float-user-ids.csv": interactions(
        Taken((2, 0, 0), {2: {"user_id": "17850", "item_id": "85123A"}, 3: {"user_id": "17850", "item_id": "71053"}}),
    ),
    # Headers, and the exports of shop systems.
    "14-header-spaces.csv": items(
        Taken((1, 0, 0), {2: {"item_id": "1", "title": "A", "price": 2.0}}),
        Refused(("item_id", "Product ID", "Product Name", MAPPING)),
    ),
    "15-header-camel.csv": items(Taken((1, 0, 0), {2: {"item_id": "1", "price": 2.0}})),
    "31-shopify-variants.csv": items(
        Taken((1, 0, some(0, 2)), {2: {"item_id": "wool-top", "title": "Wool Top", "price": 60.0, "brand": "acme",
                              "description": "<p>Warm</p>", "image_url": "https://x.test/a.jpg", "available": True,
                              "tags": AnyOf("women|knit", "women, knit")}}),
    ),
    "31b-shopify-renamed.csv": items(
        Taken((1, 0, some(0, 2)), {2: {"item_id": "wool-top", "title": "Wool Top", "price": 60.0, "available": True}}),
    ),
    "45-personalize-items.csv": items(Refused(("title", MAPPING))),
    "51-retailrocket.csv": interactions(
        Taken((3, 0, 0), {
            2: {"user_id": "257597", "item_id": "355908", _TYPES: "view", "timestamp": "2015-06-02T05:02:12.117000Z"},
            3: {_TYPES: "add_to_cart"}, 4: {_TYPES: "purchase"},
        }, columns={"timestamp": {"unit": "milliseconds"}}),
    ),
    "52-ga4-microseconds.csv": interactions(
        Taken((some(2, 3), some(0, 1), 0), {
            2: {"user_id": "1.2", _TYPES: "view", "timestamp": f"{_MAY}14:05:00.123456Z"},
            3: {"user_id": "1.2", _TYPES: "add_to_cart", "timestamp": f"{_MAY}14:05:01.123456Z"},
            4: {_TYPES: "purchase"},
        }, maybe=frozenset({2}), columns={"timestamp": {"unit": "microseconds"}}),
    ),
    "55-personalize-movielens.csv": interactions(
        Refused((_TYPES, "default_interaction_type")),
    ),
    "56-movielens-ratings.csv": interactions(
        Taken((2, 0, 0), {2: {"user_id": "1", "item_id": "31", "rating": 2.5, _TYPES: "rating",
                              "timestamp": "2009-12-14T02:52:24Z"}}),
    ),
    "56b-ratings-no-type.csv": interactions(
        Taken((2, 0, 0), {2: {_TYPES: "rating", "rating": 2.5}}), Refused((_TYPES, "default_interaction_type"))
    ),
    "57-online-retail.csv": interactions(
        Taken((2, 0, 0), {
            2: {"user_id": "17850", "item_id": "85123A", _TYPES: "purchase", "quantity": 6.0, "price": 2.55,
                "timestamp": "2010-12-01T08:26:00Z"},
            3: {"quantity": -1.0},
        }),
        Taken((0, 2, 0), said=(("date_order", "day first", "day_first"),)),
        Refused(("CustomerID", "StockCode", MAPPING)),
    ),
    "57b-online-retail-renamed.csv": interactions(
        Taken((0, 3, 0), said=(("date_order", "day first", "day_first"),), errors={"user_id.empty": 1})
    ),
    "68-gorse-feedback.csv": interactions(
        Taken((2, 0, 0), {2: {"user_id": "3423", "item_id": "186758"}}), Refused((_TYPES, MAPPING)),
    ),
    "71-instacart-time-missing.csv": interactions(Refused(("timestamp",))),
    "82-users-customer-id.csv": users(
        Taken((1, 0, 0), {2: {"user_id": "1"}}), Refused(("user_id", "Customer ID", MAPPING))
    ),
    "86-recbole-inter.inter": interactions(
        Taken((1, 0, 0), {2: {"user_id": "298", "item_id": "474", "rating": 4.0, _TYPES: "rating",
                              "timestamp": "1998-01-07T14:20:06Z"}}),
    ),
    # Names of types.
    "50b-rees46-renamed.csv": interactions(
        Taken((some(1, 3), some(0, 2), 0), {
            2: {_TYPES: "view", "timestamp": "2019-11-01T00:00:00Z", "session_id": "4d3b30da", "price": 489.07},
            3: {_TYPES: "add_to_cart"},
        }, maybe=frozenset({3})),
    ),
    "51b-retailrocket-renamed.csv": interactions(
        Taken((some(2, 3), some(0, 1), 0), {2: {_TYPES: "view"}, 3: {_TYPES: "add_to_cart"}, 4: {_TYPES: "purchase"}},
              maybe=frozenset({4}), columns={"timestamp": {"unit": "milliseconds"}}),
    ),
    "53-segment-names.csv": interactions(
        Taken((3, 0, 0), types={"view": 1, "add_to_cart": 1, "purchase": 1}),
        Taken((0, 3, 0), errors={"interaction_type.unknown": 3}, noticed={_TYPES: ANY}),
    ),
    "67-types-case-blank.csv": interactions(
        Taken((some(5, 7), some(0, 2), 0), {
            2: {_TYPES: "view"}, 3: {_TYPES: "purchase"}, 4: {_TYPES: "add_to_cart"}, 5: {_TYPES: "add_to_cart"},
            6: {_TYPES: "add_to_cart"}, 7: {_TYPES: "purchase"}, 8: {_TYPES: "view"},
        }, maybe=frozenset({7, 8})),
    ),
    # Times.
    "62-dates-single-digit-hour.csv": interactions(
        Taken((2, 0, 0), {2: {"timestamp": f"{_MAY}09:05:00Z"}, 3: {"timestamp": "2024-05-03T09:05:00Z"}})
    ),
    "63-timestamp-14-digits.csv": interactions(
        Taken((2, 0, 0), {2: {"timestamp": _SECOND}, 3: {"timestamp": f"{_MAY}00:00:00Z"}})
    ),
    "64-epoch-variants.csv": interactions(
        Taken((some(5, 7), some(1, 3), 0), {
            2: {"timestamp": _SECOND},
            3: {"timestamp": f"{_MAY}14:05:00.123000Z"},
            4: {"timestamp": f"{_MAY}14:05:00.123000Z"},
            5: {"timestamp": f"{_MAY}14:05:00.123456Z"},
            6: {"timestamp": f"{_MAY}14:05:00.123456Z"},
            7: {"timestamp": _SECOND},
            8: {"timestamp": f"{_MAY}12:53:20Z"},
        }, maybe=frozenset({7, 8})),
    ),
    "66-future-and-past.csv": interactions(Taken((0, 3, 0), errors={"timestamp.before_1990": 2})),
    # Numbers of interactions, people who are nobody, ids of events.
    "59-null-users.csv": interactions(
        Taken((some(0, 3), some(7, 10), 0), {line: {"user_id": AnyOf("0", "guest", "(not set)")} for line in (7, 8, 9)},
              maybe=frozenset({7, 8, 9}), said=("nobody",)),
    ),
    "69-rating-100-scale.csv": interactions(
        Taken((1, 3, 0), {4: {"rating": 4.5}}, errors={"rating.out_of_range": 2, "rating.not_a_number": 1})
    ),
    "70-same-order-lines.csv": interactions(
        Taken((1, 2, 0), said=("event_id",)),
        Taken((3, 0, 0), {2: {"item_id": "a"}, 3: {"item_id": "b"}, 4: {"item_id": "c"}}, noticed={"event_id": ANY}),
    ),
    "72-null-optional-interactions.csv": interactions(
        Taken((2, 0, 0), {line: {"quantity": None, "price": None, "session_id": None} for line in (2, 3)}),
    ),
    "80-users-pii.csv": users(Taken((1, 0, 0), {2: {"user_id": "u1", "extra_age": "33"}})),
    # Wrappers.
    "41-json-lines.jsonl": items(Refused(("JSON",)), Taken((2, 0, 0))),
    "42-xlsx.xlsx": items(Refused(("Excel", "CSV"))),
    "83-gz-named-csv.csv": items(Taken((1, 0, 0), {2: {"item_id": "1", "title": "A"}})),
    "84-tsv-named-txt.txt": items(
        Taken((1, 0, 0), {2: {"title": "A, big", "price": 2.0}}, reading={"separator": "\t"})
    ),
    "85-tsv-header-comma.txt": items(
        Taken((1, 0, 0), {2: {"item_id": "1", "title": "A"}}, reading={"separator": "\t"})
    ),
    # Parquet.
    "90-pandas-float-ids.parquet": interactions(
        Taken((1, 1, 0), {2: {"user_id": "17850", "item_id": "1", "timestamp": "2026-11-01T10:00:00Z"}},
              errors={"user_id.empty": 1}),
    ),
    "91-int-ids-categorical.parquet": interactions(
        Taken((2, 0, 0), {2: {"user_id": "17850", "item_id": "1"}, 3: {"user_id": "17851", "item_id": "2"}})
    ),
    "93-ns-tz.parquet": interactions(
        Taken((2, 0, 0), {2: {"timestamp": "2026-11-01T10:00:00Z"}, 3: {"timestamp": "2026-11-02T00:00:00Z"}})
    ),
    "95-struct-col.parquet": items(Taken((1, 0, 0), {2: {"item_id": "1", "title": "A"}})),
    "96-null-type.parquet": items(Taken((1, 0, 0), {2: {"item_id": "1", "brand": None}})),
    "97-binary-ids.parquet": items(Taken((1, 0, 0), {2: {"item_id": "1", "title": "A"}})),
    "99-enum-u64.parquet": items(Taken((1, 0, 0), {2: {"item_id": "18446744073709551615", "title": "A"}})),
}  # fmt: skip
"""By name of the file."""

SET: tuple[tuple[str, Case], ...] = (
    ("55-personalize-movielens.csv", interactions(
        Taken((2, 0, 0), {2: {"user_id": "298", _TYPES: "view", "timestamp": "1998-01-07T14:20:06Z"}},
              types={"view": 2}),
        **{"uploads.mappings.interactions.default_interaction_type": "view"},
    )),
    ("57b-online-retail-renamed.csv", interactions(
        Taken((2, 1, 0), {
            2: {"user_id": "17850", "timestamp": "2010-12-01T08:26:00Z", "quantity": 6.0},
            3: {"quantity": -1.0, "timestamp": "2010-12-01T09:41:00Z"},
        }, errors={"user_id.empty": 1}),
        **{"uploads.mappings.interactions.date_order": "month_first"},
    )),
    ("53-segment-names.csv", interactions(
        Taken((2, 0, 0), types={"view": 1, "purchase": 1}),
        Taken((2, 1, 0), types={"view": 1, "purchase": 1}),
        Taken((2, 0, 1), types={"view": 1, "purchase": 1}),
        **{"interaction_types": {
            "Product Viewed": "view", "Product Added": "ignore", "Order Completed": "purchase",
        }},
    )),
    ("59-null-users.csv", interactions(
        Taken((0, 10, 0)), Taken((some(0, 1), some(9, 10), 0)),
        **{"uploads.placeholder_ids": ["guest", "0", "(not set)"]},
    )),
    ("24-postgres-booleans.csv", items(Taken((0, 2, 0)), **{"uploads.strictness": "strict"})),
    ("02-semicolons-plain.csv", items(Refused(("semicolon",)), **{"uploads.strictness": "strict"})),
    ("14-header-spaces.csv", items(
        Taken((1, 0, 0), {2: {"item_id": "1", "title": "A", "price": 2.0}}),
        **{"uploads.mappings.items.columns": {"Product ID": "item_id", "Product Name": "title"}},
    )),
)  # fmt: skip
"""Files whose answer a setting of the tenant changes."""
