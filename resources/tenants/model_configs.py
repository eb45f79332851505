"""Hyper-parameters of every model type: the service checks them, the pipeline trains with them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

EdgeWeight = Literal["binary", "log", "sqrt", "linear"]
"""How the weight of a user–item pair counts."""

MOST_LAYERS = 10
"""Layers of the graph beside E0."""
_LayerWeight = Annotated[float, Field(ge=-100, le=100)]


class LightGCNConfig(BaseModel):
    """Everything that shapes a fit besides the data and the seed. Round trip: ``model_dump_json`` and back."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model_type: Literal["lightgcn"] = "lightgcn"
    dim: int = Field(default=64, ge=2, le=1024)
    """Length d of the stored user and item vectors; the popularity coordinate, if any, is one of them."""
    layer_weights: tuple[_LayerWeight, ...] = Field(default=(0.1, 0.3, 0.6), min_length=1, max_length=MOST_LAYERS + 1)
    """Weight of E0, N·E0, N²·E0 … in the final embedding; a smaller first weight is a smoother, smaller model."""
    loss: Literal["softmax", "bpr"] = "softmax"
    """`softmax`: decoupled sampled softmax over cosines, full batch. `bpr`: the paper's, in minibatches."""
    steps: int = Field(default=150, ge=1, le=10_000)
    """Passes over all pairs (each is one optimiser step with `softmax`), and the horizon of the learning rate."""
    batch_size: int = Field(default=2048, ge=1, le=1_000_000)
    """Pairs per optimiser step of `bpr`."""
    l2: float = Field(default=1e-4, ge=0, le=100)
    """Weight of the squared length of E0 of a batch in `bpr`."""
    temperature: float = Field(default=0.1, ge=0.05, le=10)
    """τ of the softmax over cosines. Below 0.05 the exponentials leave the range of float32."""
    negatives: int = Field(default=512, ge=1, le=65_536)
    """Items sampled with replacement and shared by one block of users."""
    negative_exponent: float = Field(default=0.5, ge=0, le=2)
    """Negatives are drawn with probability ∝ (number of users of the item) ^ this exponent."""
    user_block: int = Field(default=2048, ge=1, le=1_000_000)
    """Users that share one draw of negatives; also bounds the memory of a step."""
    learning_rate: float = Field(default=0.1, ge=1e-9, le=10)
    """Adam's step size at the first step."""
    schedule: Literal["linear", "constant"] = "linear"
    """`linear`: the step size falls to zero over ``steps``."""
    beta1: float = Field(default=0.8, ge=0, le=0.9999)
    """Adam's memory of the gradient."""
    beta2: float = Field(default=0.9, ge=0, le=0.999999)
    """Adam's memory of the squared gradient; a short memory suits few, noiseless steps."""
    init_std: float = Field(default=0.1, ge=1e-6, le=100)
    """Standard deviation of E0 before the first step."""
    edge_weight: EdgeWeight = "binary"
    """How a pair's weight enters the graph."""
    positive_weight: EdgeWeight = "binary"
    """How a pair's weight enters the loss."""
    half_life_days: float | None = Field(default=None, ge=0.01, le=1e6)
    """Age at which a pair's weight in the loss and in the graph is halved; null: age does not matter."""
    user_exponent: float = Field(default=1.0, ge=0, le=1)
    """A user counts in the loss as (sum of positive weights) ^ this: 1 all pairs alike, 0 all users alike."""
    item_readout_exponent: float = Field(default=0.5, ge=0, le=1)
    """Item vectors are stored as I·|I|^-exponent: 0 plain inner product, 1 cosine."""
    popularity_weight: float = Field(default=0.0, ge=0, le=100)
    """Weight of log(1 + recent popularity) in the stored vectors, against item vectors of mean length 1; 0: none."""
    popularity_half_life_days: float = Field(default=5.0, ge=0.01, le=1e6)
    """Age at which a pair counts half in that popularity."""
    evaluate_every: int = Field(default=5, ge=1, le=10_000)
    """Steps between two looks at the validation pairs."""
    patience: int = Field(default=6, ge=1, le=10_000)
    """Looks without a better (smoothed) validation NDCG@10 after which the fit stops."""
    validation_users: int = Field(default=2000, ge=1, le=100_000)
    """At most this many validation users, drawn by the seed, are ranked at each look."""

    adapt: bool = False
    """Let validation choose among several configurations and readouts before the first fit (docs/models.md); what was
    chosen has false."""

    @field_validator("layer_weights")
    @classmethod
    def _some_layer_counts(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if not any(abs(weight) >= 1e-6 for weight in weights):
            raise ValueError("one weight must not be 0")
        return weights

    @property
    def learned_dim(self) -> int:
        """Coordinates that are learned: all but the popularity coordinate."""
        return self.dim - 1 if self.popularity_weight > 0 else self.dim


class TwoTowerConfig(BaseModel):
    """Everything that shapes a fit besides the data and the seed. Names shared with `LightGCNConfig` mean the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model_type: Literal["two_tower"] = "two_tower"
    dim: int = Field(default=64, ge=2, le=1024)
    """Length d of the stored user and item vectors; the popularity coordinate, if any, is one of them."""
    hidden: int = Field(default=64, ge=1, le=4096)
    """Width of the hidden layer of both towers."""
    steps: int = Field(default=60, ge=1, le=10_000)
    """Passes over all users (one pass = one epoch), and the horizon of the linear learning rate decay."""
    user_block: int = Field(default=2048, ge=1, le=1_000_000)
    """Users of one optimiser step; they share its negatives."""
    temperature: float = Field(default=0.2, ge=0.05, le=10)
    """τ of the softmax over cosines. Below 0.05 the exponentials leave the range of float32."""
    negatives: int = Field(default=1024, ge=1, le=65_536)
    """Items sampled with replacement and shared by the users of one step."""
    negative_exponent: float = Field(default=1.0, ge=0, le=2)
    """Negatives are drawn with probability q ∝ (number of users of the item) ^ this exponent."""
    popularity_prior: float = Field(default=1.0, ge=0, le=2)
    """γ: the score in training is cosine/τ + γ·log(users of the item). With 1 the towers learn taste beyond popularity,
    with 0 popularity too. Serving has the popularity coordinate in its place."""
    target_share: float = Field(default=0.5, ge=0.001, le=0.999)
    """Share of a user's pairs that a step predicts; the tower sees only the others as the user's history."""
    id_dropout: float = Field(default=0.2, ge=0, le=0.999)
    """Share of rows whose own id is hidden in a step, so that the towers can do without (Volkovs et al. 2017)."""
    feature_weight: float = Field(default=0.3, ge=0, le=100)
    """Scale of the hidden layer's part of a vector, against the embeddings' part; 0: features are not used."""
    learning_rate: float = Field(default=0.05, ge=1e-9, le=10)
    """Adam's step size for id embeddings at the first step; it falls linearly to zero over ``steps``."""
    layer_learning_rate: float = Field(default=0.001, ge=1e-9, le=10)
    """The same for the hidden layers: a hidden unit moves all rows at once, so its steps have to be smaller."""
    beta1: float = Field(default=0.9, ge=0, le=0.9999)
    """Adam's memory of the gradient."""
    beta2: float = Field(default=0.99, ge=0, le=0.999999)
    """Adam's memory of the squared gradient."""
    init_std: float = Field(default=0.1, ge=1e-6, le=100)
    """Standard deviation of the id embeddings before the first step."""
    positive_weight: EdgeWeight = "log"
    """How a pair's weight enters the loss and the history."""
    half_life_days: float | None = Field(default=60.0, ge=0.01, le=1e6)
    """Age at which a pair's weight in the loss and in the history is halved; null: age does not matter."""
    user_exponent: float = Field(default=1.0, ge=0, le=1)
    """A user counts in the loss as (sum of positive weights) ^ this: 1 all pairs alike, 0 all users alike."""
    popularity_weight: float = Field(default=0.45, ge=0, le=100)
    """Weight of log(1 + recent popularity) in the stored vectors, against item vectors of length 1; 0: none."""
    popularity_half_life_days: float = Field(default=5.0, ge=0.01, le=1e6)
    """Age at which a pair counts half in that popularity."""
    evaluate_every: int = Field(default=2, ge=1, le=10_000)
    """Epochs between two looks at the validation pairs."""
    patience: int = Field(default=6, ge=1, le=10_000)
    """Looks without a better (smoothed) validation NDCG@10 after which the fit stops."""
    validation_users: int = Field(default=2000, ge=1, le=100_000)
    """At most this many validation users, drawn by the seed, are ranked at each look."""

    @property
    def item_readout_exponent(self) -> float:
        """The towers give unit vectors: cosine."""
        return 1.0

    @property
    def learned_dim(self) -> int:
        """Coordinates that are learned: all but the popularity coordinate."""
        return self.dim - 1 if self.popularity_weight > 0 else self.dim


class SequenceConfig(BaseModel):
    """Everything that shapes a fit besides the data and the seed. Names shared with `TwoTowerConfig` mean the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model_type: Literal["sequence"] = "sequence"
    dim: int = Field(default=64, ge=2, le=512)
    """Length d of the stored user and item vectors; the popularity coordinate, if any, is one of them."""
    length: int = Field(default=50, ge=1, le=512)
    """How many of a user's newest items the transformer reads."""
    blocks: int = Field(default=1, ge=1, le=8)
    """Transformer blocks: self-attention and a hidden layer, one after the other."""
    heads: int = Field(default=1, ge=1, le=16)
    """Attention heads; together they are as wide as the vectors."""
    hidden: int = Field(default=64, ge=1, le=2048)
    """Width of the hidden layer of a block."""
    history_weight: float = Field(default=1.0, ge=0, le=100)
    """Weight of the mean of the items read, which is added to what the transformer says: lasting taste beside order."""
    dropout: float = Field(default=0.2, ge=0, le=0.9)
    """Share of the inputs, and of what each layer adds, that a step hides."""
    horizon: int = Field(default=20, ge=1, le=1000)
    """From each place in a sequence a step predicts one of the next items, at most this far ahead; 1: the very next."""
    steps: int = Field(default=16, ge=1, le=10_000)
    """Passes over all sequences (one pass = one epoch), and the horizon of the linear learning rate decay."""
    batch_size: int = Field(default=4096, ge=1, le=1_000_000)
    """Places of sequences in one optimiser step; they share its negatives."""
    temperature: float = Field(default=0.2, ge=0.05, le=10)
    """τ of the softmax over cosines. Below 0.05 the exponentials leave the range of float32."""
    negatives: int = Field(default=512, ge=1, le=65_536)
    """Items sampled with replacement and shared by the places of one step."""
    negative_exponent: float = Field(default=1.0, ge=0, le=2)
    """Negatives are drawn with probability q ∝ (number of users of the item) ^ this exponent."""
    popularity_prior: float = Field(default=1.0, ge=0, le=2)
    """γ: the score in training is cosine/τ + γ·log(users of the item); serving has the popularity coordinate."""
    learning_rate: float = Field(default=0.05, ge=1e-9, le=10)
    """Adam's step size for item embeddings at the first step; it falls linearly to zero over ``steps``."""
    layer_learning_rate: float = Field(default=0.005, ge=1e-9, le=10)
    """The same for the weights of the transformer, each of which moves every user."""
    beta1: float = Field(default=0.9, ge=0, le=0.9999)
    """Adam's memory of the gradient."""
    beta2: float = Field(default=0.99, ge=0, le=0.999999)
    """Adam's memory of the squared gradient."""
    init_std: float = Field(default=0.1, ge=1e-6, le=100)
    """Standard deviation of the item embeddings before the first step."""
    half_life_days: float | None = Field(default=60.0, ge=0.01, le=1e6)
    """Age at which a target's weight in the loss is halved; null: age does not matter beyond the order."""
    popularity_weight: float = Field(default=0.45, ge=0, le=100)
    """Weight of log(1 + recent popularity) in the stored vectors, against item vectors of length 1; 0: none."""
    popularity_half_life_days: float = Field(default=5.0, ge=0.01, le=1e6)
    """Age at which a pair counts half in that popularity."""
    evaluate_every: int = Field(default=1, ge=1, le=10_000)
    """Epochs between two looks at the validation pairs."""
    patience: int = Field(default=5, ge=1, le=10_000)
    """Looks without a better (smoothed) validation NDCG@10 after which the fit stops."""
    validation_users: int = Field(default=2000, ge=1, le=100_000)
    """At most this many validation users, drawn by the seed, are ranked at each look."""

    adapt: bool = False
    """Let validation choose how far ahead to predict and the readout before the first fit (`sequence_choice.py`)."""

    @property
    def item_readout_exponent(self) -> float:
        """The model gives unit vectors: cosine."""
        return 1.0

    @property
    def learned_dim(self) -> int:
        """Coordinates that are learned: all but the popularity coordinate."""
        return self.dim - 1 if self.popularity_weight > 0 else self.dim
