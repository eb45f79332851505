"""Words by which shops call the columns of the contract, in several languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from resources.uploads.contract.columns import Kind, columns

Words = Mapping[str, tuple[str, ...]]
"""Of a column of the contract the headers that mean it, as people write them."""

_TYPE_SUFFIX = re.compile(r":(token|token_seq|float|float_seq)\s*$")
"""RecBole's types of columns."""
_PRICE_WITH_CURRENCY = re.compile(
    r"(price|unitprice|preis|prix|precio|prezzo|prijs|preco|cena|pris)"
    r"(eur|usd|gbp|chf|pln|sek|nok|dkk|czk|huf|cad|aud|jpy|inr|brl)"
)

_ITEM_ID = (
    *("product_id", "product number", "product_no", "product_code", "sku", "article_id", "article_number"),
    *("item_number", "item_no", "item_code", "stock_code", "asin", "parent_asin", "isbn", "movie_id", "film_id"),
    *("song_id", "track_id", "book_id", "video_id", "recipe_id", "content_id", "variant_sku", "lineitem_sku"),
    *("Artikelnummer", "Artikel-Nr.", "Artikel-ID", "Produktnummer", "Produkt-ID", "Produkt-Nr."),
    *("id_produit", "numéro article", "code article", "référence produit"),
    *("id_producto", "código de producto", "id_prodotto", "codice articolo", "codice prodotto"),
    *("productnummer", "artikelcode", "id_produto", "código do produto", "id_produktu", "kod produktu", "varenummer"),
)
_USER_ID = (
    *("customer_id", "customer_number", "customer_no", "client_id", "visitor_id", "shopper_id", "member_id"),
    *("user", "user_number", "user_pseudo_id", "reviewer_id", "buyer_id", "profile_id", "uid"),
    *("Kundennummer", "Kunden-Nr.", "Kunden-ID", "Benutzer-ID", "Nutzer-ID", "id_client", "numéro client"),
    *("id_utilisateur", "id_cliente", "id_usuario", "id_utente", "codice cliente", "klantnummer", "klant-id"),
    *("gebruiker-id", "id_utilizador", "id_klienta", "id_uzytkownika", "kundnummer", "kundenummer"),
)

SURE: Mapping[Kind, Words] = {
    Kind.ITEMS: {
        "item_id": _ITEM_ID,
        "title": (
            *("product_name", "product_title", "item_name", "item_title", "movie_title", "article_name", "Titel"),
            *("Bezeichnung", "Artikelname", "Artikelbezeichnung", "Produktname", "Produktbezeichnung"),
            *("titre", "nom du produit", "nom produit", "título", "nombre", "nombre del producto", "titolo"),
            *("nome prodotto", "productnaam", "naam", "nome do produto", "nome", "nazwa", "nazwa produktu", "tytuł"),
        ),
        "category": (
            *("product_category", "category_name", "category_path", "category_code", "product_type", "categories"),
            *("Kategorie", "Kategoriename", "Warengruppe", "catégorie", "categoría", "categoria", "categorie"),
            *("kategoria",),
        ),
        "brand": (
            *("brand_name", "manufacturer", "vendor", "Marke", "Hersteller", "marque", "fabricant", "marca"),
            *("fabricante", "produttore", "merk", "fabrikant", "marka", "producent"),
        ),
        "description": (
            *("product_description", "long_description", "body_html", "body (html)", "Beschreibung"),
            *("Artikelbeschreibung", "descripción", "descrizione", "omschrijving", "beschrijving", "descrição"),
            *("opis",),
        ),
        "image_url": (
            *("image", "image_link", "image_src", "picture", "picture_url", "photo_url", "thumbnail_url", "Bild"),
            *("Bild-URL", "imagen", "immagine", "afbeelding", "imagem", "zdjęcie"),
        ),
        "tags": ("tag", "keywords", "Schlagworte", "Schlagwörter", "étiquettes", "mots-clés", "etiquetas", "tagi"),
        "price": (
            *("unit_price", "product_price", "item_price", "sale_price", "regular_price", "selling_price"),
            *("variant_price", "price_incl_tax", "Preis", "Verkaufspreis", "Bruttopreis", "prix", "prix TTC"),
            *("precio", "prezzo", "prijs", "preço", "cena", "cena brutto"),
        ),
        "available": (
            *("availability", "is_available", "in_stock", "is_in_stock", "stock_status", "verfügbar", "Verfügbarkeit"),
            *("lieferbar", "disponible", "disponibilité", "disponibilidad", "disponibile", "disponibilità"),
            *("beschikbaar", "beschikbaarheid", "disponível", "disponibilidade", "dostępny", "dostępność"),
        ),
        "created_at": (
            *("created", "created_on", "created_date", "creation_date", "date_created", "date_added", "added_at"),
            *("erstellt am", "angelegt am", "Anlagedatum", "date de création", "fecha de creación"),
            *("data di creazione", "aangemaakt op", "data de criação", "data utworzenia"),
        ),
    },
    Kind.USERS: {"user_id": _USER_ID},
    Kind.INTERACTIONS: {
        "user_id": _USER_ID,
        "item_id": _ITEM_ID,
        "interaction_type": (
            *("event_type", "event", "event_name", "action", "action_type", "interaction", "behavior", "behaviour"),
            *("behavior_type", "behaviour_type", "feedback_type", "activity_type", "Aktion", "Ereignis"),
            *("événement", "type d'événement", "evento", "tipo de evento", "tipo evento", "gebeurtenis"),
            *("zdarzenie", "typ zdarzenia"),
        ),
        "timestamp": (
            *("time", "datetime", "date_time", "date", "ts", "event_time", "event_timestamp", "event_date"),
            *("event_datetime", "created_at", "created", "occurred_at", "order_date", "ordered_at", "purchase_date"),
            *("invoice_date", "transaction_date", "unix_timestamp", "unix_time", "Zeit", "Zeitpunkt", "Zeitstempel"),
            *("Datum", "Bestelldatum", "Kaufdatum", "date de commande", "date d'achat", "horodatage", "fecha"),
            *("fecha de pedido", "fecha de compra", "fecha y hora", "data ora", "data ordine", "data acquisto"),
            *("besteldatum", "tijdstip", "data da compra", "data do pedido", "data zamówienia", "data zakupu", "czas"),
        ),
        "rating": (
            *("stars", "review_rating", "user_rating", "overall", "Bewertung", "évaluation", "puntuación"),
            *("valutazione", "beoordeling", "avaliação", "ocena"),
        ),
        "duration_seconds": (
            "duration_in_seconds",
            "duration_sec",
            "duration_s",
            "dwell_time_seconds",
            "dwell_seconds",
        ),
        "quantity": ("qty", "Menge", "Anzahl", "Stückzahl", "quantité", "cantidad", "quantità", "aantal", "ilość"),
        "price": (
            *("unit_price", "item_price", "product_price", "lineitem_price", "Preis", "Einzelpreis", "Stückpreis"),
            *("prix", "prix unitaire", "precio", "precio unitario", "prezzo", "prezzo unitario", "prijs"),
            *("stukprijs", "preço", "preço unitário", "cena", "cena jednostkowa"),
        ),
        "session_id": ("session", "user_session", "visit_id", "ga_session_id", "Sitzung", "Sitzungs-ID"),
        "event_id": ("message_id", "event_uuid", "event_guid"),
    },
}
"""Words that mean one column and nothing else: applied by themselves where the file has no better name for it."""

LIKELY: Mapping[Kind, Words] = {
    Kind.ITEMS: {
        "item_id": (
            *("id", "code", "item", "product", "handle", "reference", "ref", "number", "no", "ean", "gtin", "upc"),
            *("barcode", "mpn", "article", "article_no", "Artikel", "Nummer", "Nr.", "référence", "referencia"),
            *("codice", "código", "codigo", "kod", "numer", "symbol"),
        ),
        "title": ("product", "item", "Artikel", "Produkt", "produit", "producto", "prodotto", "label", "description"),
        "category": ("type", "class", "department", "genre", "genres", "collection", "section", "Gruppe"),
        "price": ("amount", "cost", "msrp", "list_price"),
        "available": ("active", "enabled", "published", "status", "visible"),
        "created_at": ("date", "timestamp", "release_date", "published_at", "updated_at", "Datum", "fecha"),
    },
    Kind.USERS: {"user_id": ("id", "customer", "client", "email", "e-mail", "username", "login", "Kunde", "cliente")},
    Kind.INTERACTIONS: {
        "user_id": (
            *("customer", "client", "visitor", "anonymous_id", "account_id", "email", "e-mail", "username", "Kunde"),
            *("cliente", "klant", "klient", "device_id", "fullvisitorid"),
        ),
        "item_id": (
            *("id", "item", "product", "code", "handle", "reference", "ref", "ean", "gtin", "barcode", "article"),
            *("Artikel", "Produkt", "produit", "producto", "prodotto", "business_id", "hotel_id", "post_id"),
        ),
        "interaction_type": ("type", "kind", "activity", "Typ", "tipo"),
        "timestamp": ("timestamps", "day", "updated_at", "sent_at", "received_at", "Tag", "data", "dia", "dzień"),
        "rating": ("score", "rate", "note", "grade"),
        "duration_seconds": ("duration", "dwell_time", "time_spent", "watch_time"),
        "quantity": ("count", "amount", "units", "number"),
        "price": ("amount", "revenue", "value", "total"),
        "event_id": ("uuid", "guid", "id"),
    },
}
"""Words that often mean a column and may mean something else: proposed, never applied by themselves."""

STOCK = (
    *("stock", "stock_quantity", "stock_level", "qty_in_stock", "quantity_in_stock", "inventory", "quantity", "qty"),
    *("inventory_quantity", "inventory_qty", "variant_inventory_qty", "on_hand", "Bestand", "Lagerbestand"),
    *("quantité", "quantité en stock", "existencias", "giacenza", "voorraad", "estoque", "stan magazynowy"),
)
"""Headers of the pieces in stock of an item: more than none is available."""
GROUP = ("item_group_id",)
"""Headers of the product that a variant belongs to. `parent_id` is none of them: in many exports 0 means no parent."""
LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt", "pl", "sv", "da", "no", "fi", "cs")
"""Languages of titles, the one that is shown first."""


def key_of(header: str) -> str:
    """Return what counts of a header: its letters and digits, without case, accents and RecBole's type."""
    plain = _TYPE_SUFFIX.sub("", unicodedata.normalize("NFKD", header))
    return "".join(c for c in plain.casefold() if c.isalnum())


@cache
def exact_words(kind: Kind) -> Mapping[str, str]:
    """Of the key of each name in the contract its column; aliases are `alias_words`."""
    return {key_of(spec.name): spec.name for spec in columns(kind)}


@cache
def alias_words(kind: Kind) -> Mapping[str, str]:
    """Of the key of each alias in the contract its column."""
    return {key_of(spec.alias): spec.name for spec in columns(kind) if spec.alias}


@cache
def sure_words(kind: Kind) -> Mapping[str, str]:
    """Of the key of each sure word its column."""
    return _by_key(SURE[kind])


@cache
def likely_words(kind: Kind) -> Mapping[str, tuple[str, ...]]:
    """Of the key of each likely word the columns that it may mean."""
    found: dict[str, tuple[str, ...]] = {}
    for column, words in LIKELY[kind].items():
        for word in words:
            found[key_of(word)] = (*found.get(key_of(word), ()), column)
    return found


def sure_column(kind: Kind, key: str) -> str | None:
    """Return the column that a key surely means, a price with its currency (`price, EUR`) among them."""
    known = sure_words(kind).get(key)
    if known is None and kind is not Kind.USERS and _PRICE_WITH_CURRENCY.fullmatch(key):
        return "price"
    return known


def title_language(header: str) -> int | None:
    """Return the place in `LANGUAGES` of a title's header such as `title_de` or `Title (EN)`; None when it is none."""
    found = re.fullmatch(
        r"(?:title|name|product_?name)[ _\-.(\[]+([a-z]{2})(?:[-_][a-z]{2})?[)\]]?", header.strip().lower()
    )
    return LANGUAGES.index(found[1]) if found and found[1] in LANGUAGES else None


def _by_key(words: Words) -> dict[str, str]:
    return {key_of(word): column for column, synonyms in words.items() for word in synonyms}
