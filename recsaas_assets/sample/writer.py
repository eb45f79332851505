"""Writing an invented shop as the files a shop would send."""

from __future__ import annotations

from pathlib import Path

from recsaas_assets.sample.shop import SampleShop


def write_shop(shop: SampleShop, folder: Path) -> tuple[Path, Path, Path]:
    """Write items.csv, users.csv and interactions.csv into `folder` and return their paths in that order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / "items.csv", folder / "users.csv", folder / "interactions.csv")
    for path, frame in zip(paths, (shop.items, shop.users, shop.interactions), strict=True):
        frame.write_csv(path)
    return paths
