"""An invented electronics catalogue: titles, brands, prices, tags and descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Category:
    """The products of a category, their brands, and their median price."""

    name: str
    nouns: tuple[str, ...]
    brands: tuple[str, ...]
    features: tuple[str, ...]
    median_price: float


CATEGORIES = (
    Category("Laptops", ("Ultrabook 13", "Notebook 14", "Notebook 15", "Gaming Laptop 16", "Convertible 13"),
             ("Novaline", "Kestrel", "Arcton", "Zephyr"), ("16 GB", "32 GB", "OLED", "1 TB SSD", "touch"), 950.0),
    Category("Phones", ("Smartphone", "Smartphone Pro", "Smartphone Mini", "Rugged Phone"),
             ("Kestrel", "Lumo", "Orbis", "Pebbla"), ("128 GB", "256 GB", "5G", "dual SIM", "fast charging"), 520.0),
    Category("Headphones", ("Over-Ear Headphones", "In-Ear Headphones", "Gaming Headset", "Sports Earbuds"),
             ("Sonara", "Lumo", "Beatforge", "Aurel"), ("noise cancelling", "wireless", "USB-C", "microphone"), 95.0),
    Category("Monitors", ("Monitor 24", "Monitor 27", "Ultrawide Monitor 34", "Portable Monitor 15"),
             ("Arcton", "Viewell", "Zephyr", "Orbis"), ("4K", "144 Hz", "IPS", "USB-C hub", "curved"), 280.0),
    Category("Keyboards & Mice", ("Mechanical Keyboard", "Wireless Keyboard", "Ergonomic Mouse", "Gaming Mouse"),
             ("Clackson", "Zephyr", "Keywright", "Arcton"), ("RGB", "low profile", "wireless", "hot-swap"), 60.0),
    Category("Storage", ("Portable SSD", "NVMe SSD", "External Drive", "Memory Card", "USB Stick"),
             ("Datavault", "Orbis", "Granite"), ("500 GB", "1 TB", "2 TB", "USB-C", "shock-proof"), 85.0),
    Category("Cameras", ("Mirrorless Camera", "Action Camera", "Webcam", "Prime Lens 35 mm", "Tripod"),
             ("Aurel", "Viewell", "Fokal"), ("4K", "stabilised", "weather-sealed", "travel kit"), 340.0),
    Category("Smart Home", ("Smart Bulb", "Smart Plug", "Thermostat", "Door Camera", "Motion Sensor"),
             ("Hearthly", "Lumo", "Casaro"), ("Zigbee", "Wi-Fi", "Matter", "battery", "two pack"), 45.0),
    Category("Tablets", ("Tablet 8", "Tablet 10", "Drawing Tablet", "E-Reader 7"),
             ("Pebbla", "Novaline", "Kestrel"), ("64 GB", "128 GB", "pen", "paper-like", "LTE"), 260.0),
    Category("Wearables", ("Fitness Band", "Sports Watch", "Smart Watch", "Kids Watch"),
             ("Pulsar", "Pebbla", "Lumo"), ("GPS", "heart rate", "waterproof", "long battery"), 150.0),
    Category("Audio", ("Bluetooth Speaker", "Soundbar", "Turntable", "Studio Microphone", "Bookshelf Speakers"),
             ("Sonara", "Beatforge", "Casaro"), ("wireless", "multi-room", "waterproof", "deep bass"), 130.0),
    Category("Accessories", ("USB-C Charger", "Power Bank", "HDMI Cable", "Laptop Sleeve", "Docking Station"),
             ("Granite", "Orbis", "Keywright", "Casaro"), ("65 W", "100 W", "braided", "compact", "two pack"), 28.0),
)  # fmt: skip
_SERIES = ("Air", "Core", "Edge", "Flow", "Max", "Neo", "One", "Plus", "Prime", "Studio", "Trek", "X")
SHARE_NEW = 0.25


@dataclass(frozen=True, slots=True)
class SampleCatalogue:
    """Items as a frame, and per item `(n_items,)`: category, brand (index into `brands`), price level and start.

    `price_level` is the price against the median of the category, in standard deviations of the logarithm.
    `start` is seconds after the first day; 0 for items that were there before it.
    """

    frame: pl.DataFrame
    category: NDArray[np.int64]
    brand: NDArray[np.int64]
    price_level: NDArray[np.float64]
    start: NDArray[np.int64]


def generate_catalogue(
    rng: np.random.Generator, n_items: int, *, first_day: datetime, seconds: int, share_new: float = SHARE_NEW
) -> SampleCatalogue:
    """Invent `n_items` items; `share_new` of them join the catalogue during the `seconds` after `first_day`."""
    brands = sorted({brand for category in CATEGORIES for brand in category.brands})
    category = rng.integers(0, len(CATEGORIES), n_items)
    price_level = rng.normal(0.0, 1.0, n_items)
    median = np.array([c.median_price for c in CATEGORIES])[category]
    price = np.floor(median * np.exp(0.45 * price_level)) + 0.99
    is_new = rng.random(n_items) < share_new
    start = np.where(is_new, rng.integers(0, max(1, int(seconds * 0.95)), n_items), 0)
    age = rng.integers(30, 900, n_items)
    picks = rng.random((n_items, 5))
    brand = np.empty(n_items, dtype=np.int64)
    rows: list[tuple[str, str, str, str, str]] = []
    for i, c in enumerate(category.tolist()):
        kind = CATEGORIES[c]
        noun, maker, feature, series = (_pick(kind.nouns, picks[i, 0]), _pick(kind.brands, picks[i, 1]),
                                        _pick(kind.features, picks[i, 2]), _pick(_SERIES, picks[i, 3]))  # fmt: skip
        second = _pick(kind.features, picks[i, 4])
        brand[i] = brands.index(maker)
        tags = "|".join(dict.fromkeys((feature, second, noun.lower())))
        title = f"{maker} {series} {noun}, {feature}"
        about = f"{noun} by {maker} from the {series} series, with {feature} and {second}."
        rows.append((title, kind.name, maker, tags, about)) if second != feature else rows.append(
            (title, kind.name, maker, tags, f"{noun} by {maker} from the {series} series, with {feature}.")
        )
    titles, categories, makers, all_tags, abouts = (list(column) for column in zip(*rows, strict=True))
    created = [
        first_day + (timedelta(seconds=s) if new else -timedelta(days=a))
        for s, a, new in zip(start.tolist(), age.tolist(), is_new.tolist(), strict=True)
    ]
    frame = pl.DataFrame(
        {
            "item_id": [f"SKU-{i:06d}" for i in range(1, n_items + 1)],
            "title": titles,
            "category": categories,
            "brand": makers,
            "price": price,
            "tags": all_tags,
            "description": abouts,
            "available": rng.random(n_items) >= 0.02,
            "created_at": pl.Series(created, dtype=pl.Datetime("us", "UTC")).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )
    return SampleCatalogue(frame, category, brand, price_level, start)


def _pick(words: tuple[str, ...], number: float) -> str:
    return words[int(number * len(words))]
