"""Hyper-parameters of LightGCN, and the ones to start from at a given data size."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from recsaas_assets.recommender.graph import EdgeWeight


class LightGCNConfig(BaseModel):
    """Everything that shapes a fit besides the data and the seed. Round trip: ``model_dump_json`` and back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_type: Literal["lightgcn"] = "lightgcn"
    dim: int = Field(default=64, ge=2, le=1024)
    """Length d of the stored user and item vectors; the popularity coordinate, if any, is one of them."""
    layer_weights: tuple[float, ...] = Field(default=(0.1, 0.3, 0.6), min_length=1)
    """Weight of E0, N·E0, N²·E0 … in the final embedding; a smaller first weight is a smoother, smaller model."""
    loss: Literal["softmax", "bpr"] = "softmax"
    """`softmax`: decoupled sampled softmax over cosines, full batch. `bpr`: the paper's, in minibatches."""
    steps: int = Field(default=150, ge=1)
    """Passes over all pairs (each is one optimiser step with `softmax`), and the horizon of the learning rate."""
    batch_size: int = Field(default=2048, ge=1)
    """Pairs per optimiser step of `bpr`."""
    l2: float = Field(default=1e-4, ge=0)
    """Weight of the squared length of E0 of a batch in `bpr`."""
    temperature: float = Field(default=0.1, ge=0.05, le=10)
    """τ of the softmax over cosines. Below 0.05 the exponentials leave the range of float32."""
    negatives: int = Field(default=512, ge=1)
    """Items sampled with replacement and shared by one block of users."""
    negative_exponent: float = Field(default=0.5, ge=0, le=2)
    """Negatives are drawn with probability ∝ (number of users of the item) ^ this exponent."""
    user_block: int = Field(default=2048, ge=1)
    """Users that share one draw of negatives; also bounds the memory of a step."""
    learning_rate: float = Field(default=0.1, gt=0)
    """Adam's step size at the first step."""
    schedule: Literal["linear", "constant"] = "linear"
    """`linear`: the step size falls to zero over ``steps``."""
    beta1: float = Field(default=0.8, ge=0, lt=1)
    """Adam's memory of the gradient."""
    beta2: float = Field(default=0.9, ge=0, lt=1)
    """Adam's memory of the squared gradient; a short memory suits few, noiseless steps."""
    init_std: float = Field(default=0.1, gt=0)
    """Standard deviation of E0 before the first step."""
    edge_weight: EdgeWeight = "binary"
    """How a pair's weight enters the graph."""
    positive_weight: EdgeWeight = "binary"
    """How a pair's weight enters the loss."""
    half_life_days: float | None = Field(default=None, gt=0)
    """Age at which a pair's weight in the loss and in the graph is halved; null: age does not matter."""
    user_exponent: float = Field(default=1.0, ge=0, le=1)
    """A user counts in the loss as (sum of positive weights) ^ this: 1 all pairs alike, 0 all users alike."""
    item_readout_exponent: float = Field(default=0.5, ge=0, le=1)
    """Item vectors are stored as I·|I|^-exponent: 0 plain inner product, 1 cosine."""
    popularity_weight: float = Field(default=0.0, ge=0)
    """Weight of log(1 + recent popularity) in the stored vectors, against item vectors of mean length 1; 0: none."""
    popularity_half_life_days: float = Field(default=5.0, gt=0)
    """Age at which a pair counts half in that popularity."""
    evaluate_every: int = Field(default=5, ge=1)
    """Steps between two looks at the validation pairs."""
    patience: int = Field(default=6, ge=1)
    """Looks without a better (smoothed) validation NDCG@10 after which the fit stops."""
    validation_users: int = Field(default=2000, ge=1)
    """At most this many validation users, drawn by the seed, are ranked at each look."""

    adapt: bool = False
    """Let validation choose a preset and the readout before the first fit (`presets.py`); what was chosen has false."""

    @property
    def learned_dim(self) -> int:
        """Coordinates that are learned: all but the popularity coordinate."""
        return self.dim - 1 if self.popularity_weight > 0 else self.dim


def defaults_for(n_users: int, n_items: int, n_pairs: int) -> LightGCNConfig:
    """The configuration to start from for a tenant of this size.

    Chosen on the validation periods of Online Retail and MovieLens-100K. With negatives in proportion to popularity
    the cosines learn what a user prefers beyond it; recent popularity comes back in the readout, where it can follow
    the season. One configuration won on both, so only the number of negatives depends on the size; the number of steps
    adapts by early stopping, and a shop without seasons gets another preset (`presets.py`).
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
