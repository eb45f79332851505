"""The hyper-parameters of the two-tower model to start from."""

from __future__ import annotations

from resources.tenants.model_configs import TwoTowerConfig


def two_tower_defaults(n_users: int, n_items: int, n_pairs: int) -> TwoTowerConfig:
    """The configuration to start from for a tenant of this size; chosen as docs/models.md tells."""
    return TwoTowerConfig(negatives=1024 if n_items > 500 else 256)
