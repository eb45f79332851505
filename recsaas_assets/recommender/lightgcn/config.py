"""The hyper-parameters of LightGCN to start from at a given data size."""

from resources.tenants.model_configs import LightGCNConfig


def defaults_for(n_users: int, n_items: int, n_pairs: int) -> LightGCNConfig:
    """The configuration to start from for a tenant of this size.

    Chosen on the validation periods of Online Retail and MovieLens-100K. With negatives in proportion to popularity
    the cosines learn what a user prefers beyond it; recent popularity comes back in the readout, where it can follow
    the season. One configuration won on both, so only the number of negatives depends on the size; the number of steps
    adapts by early stopping, and where something else is better the choice finds it (`recommender/choice`).
    """
    return LightGCNConfig(
        steps=80,
        temperature=0.2,
        negatives=1024 if n_items > 500 else 256,
        negative_exponent=1.0,
        learning_rate=0.05,
        half_life_days=60.0,
        edge_weight="log",
        item_readout_exponent=1.0,
        popularity_weight=0.45,
        popularity_half_life_days=5.0,
        adapt=True,
    )
