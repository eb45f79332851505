"""The hyper-parameters of the sequence model to start from."""

from __future__ import annotations

from resources.tenants.model_configs import SequenceConfig


def sequence_defaults(n_users: int, n_items: int, n_pairs: int) -> SequenceConfig:
    """The configuration to start from for a tenant of this size; chosen as docs/models.md tells."""
    return SequenceConfig(negatives=512 if n_items > 500 else 128, adapt=True)
