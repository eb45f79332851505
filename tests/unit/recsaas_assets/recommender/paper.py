"""LightGCN as its paper trains it, to compare with."""

from resources.tenants.model_configs import LightGCNConfig


def paper_config() -> LightGCNConfig:
    """LightGCN-3 with the hyper-parameters of the paper (section 4.1.2), which stops after 1,000 epochs at the latest.

    It is for comparison: each epoch takes n_pairs / 2,048 propagations over the whole graph.
    """
    return LightGCNConfig(
        loss="bpr",
        layer_weights=(0.25, 0.25, 0.25, 0.25),
        steps=1000,
        batch_size=2048,
        l2=1e-4,
        learning_rate=1e-3,
        schedule="constant",
        beta1=0.9,
        beta2=0.999,
        item_readout_exponent=0.0,
        evaluate_every=10,
        patience=5,
    )
