"""Items that nobody has interacted with yet: their vectors from content, learned on the items that have some.

Ridge regression (Hoerl and Kennard, 1970) of what a fit has learned of the warm items onto their content, as in the
attribute-to-feature maps of Gantner et al. (2010). With content X (warm items, f), targets Y less their mean m, and
the item's weight c_i = ln(1 + its users), as vectors learned from few users are noise,

    W = argmin Σ_i c_i |y_i - m - x_i W|² + λ |W|²,    y_cold = m + x_cold W

solved by conjugate gradients, so that memory stays at the sparse content. λ is chosen on warm items that are held out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Floats, Vectors
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors

_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_HELD_OUT = 0.2
_LEAST_WARM = 20
_STEPS, _TOLERANCE = 200, 1e-4


@dataclass(frozen=True, slots=True)
class ContentMap:
    """A regression from content (n, f) to targets (n, t): ``mean`` (t,) and ``weights`` (f, t)."""

    mean: Floats
    weights: Floats

    def __call__(self, content: sparse.csr_array) -> Floats:
        """Targets (n, t) of items with this content."""
        predicted: Floats = content @ self.weights + self.mean
        return predicted


@dataclass(frozen=True, slots=True)
class ContentQuality:
    """Quality of content on held-out warm items: explained share of the variance (R²) by penalty λ."""

    explained: dict[float, float]

    @property
    def penalty(self) -> float:
        """λ that explains most."""
        return max(self.explained, key=lambda penalty: self.explained[penalty])

    @property
    def best(self) -> float:
        """The share that it explains."""
        return self.explained[self.penalty]

    @property
    def useful(self) -> bool:
        """Whether content says more of a vector than the mean of all."""
        return self.best > 0


def with_cold_items(
    vectors: ModelVectors,
    pairs: Pairs,
    content: sparse.csr_array,
    *,
    seed: int,
    quality: ContentQuality | None = None,
) -> tuple[ModelVectors, ContentQuality | None]:
    """Fill the zero rows of items without any of ``pairs`` from ``content`` (n_items, f), where it says something.

    `items`, `fold_in` and `start_items` are filled alike, so a cold item can be recommended, counts when a new user
    touches it, and is a start for a later fit. Rows of items with pairs stay as they are. Nothing is filled with fewer
    than 20 warm items, nor when content explains nothing. A ``quality`` that an earlier fit of the run has measured is
    not measured again.
    """
    users_per_item = pairs.users_per_item(len(vectors.items))
    known = np.diff(content.indptr) > 0
    warm = np.flatnonzero((users_per_item > 0) & known)
    cold = np.flatnonzero((users_per_item == 0) & known & ~vectors.items.any(axis=1))
    if len(warm) < _LEAST_WARM or len(cold) == 0:
        return vectors, quality
    fields = ("items", "fold_in", "start_items")
    targets = np.hstack([getattr(vectors, name)[warm] for name in fields])
    scale = np.sqrt(np.mean(np.square(targets - targets.mean(axis=0)), axis=0)).clip(1e-12)
    confidence = np.log1p(users_per_item[warm]).astype(np.float32)
    ends = np.cumsum([getattr(vectors, name).shape[1] for name in fields])
    quality = quality or measure(content[warm], targets[:, : ends[0]], confidence, seed=seed)
    if not quality.useful:
        return vectors, quality
    fitted = fit_content_map(content[warm], targets / scale, confidence, quality.penalty)
    predicted = np.split((fitted(content[cold]) * scale).astype(np.float32), ends[:-1], axis=1)
    filled: dict[str, Vectors] = {}
    for name, rows in zip(fields, predicted, strict=True):
        filled[name] = getattr(vectors, name).copy()
        filled[name][cold] = rows
    return replace(vectors, **filled), quality


def measure(content: sparse.csr_array, targets: Floats, confidence: Floats, *, seed: int) -> ContentQuality:
    """Hide a fifth of the items, and see for each penalty how much content explains of their ``targets`` (n, t)."""
    order = np.random.default_rng(seed).permutation(len(targets))
    hidden, kept = np.split(order, [max(1, int(_HELD_OUT * len(order)))])
    weight = confidence[hidden, None]
    explained: dict[float, float] = {}
    for penalty in _PENALTIES:
        fitted = fit_content_map(content[kept], targets[kept], confidence[kept], penalty)
        left = float((weight * np.square(targets[hidden] - fitted(content[hidden]))).sum())
        whole = float((weight * np.square(targets[hidden] - fitted.mean)).sum())
        explained[penalty] = 1 - left / max(whole, 1e-12)
    return ContentQuality(explained)


def fit_content_map(content: sparse.csr_array, targets: Floats, confidence: Floats, penalty: float) -> ContentMap:
    """Ridge regression of ``targets`` (n, t) onto ``content`` (n, f) with a weight per item (n,)."""
    mean = np.average(targets, axis=0, weights=confidence)
    weighted = sparse.csr_array(sparse.diags_array(confidence) @ content)
    transposed = sparse.csr_array(content.T)
    right = np.asarray(weighted.T @ (targets - mean), dtype=np.float64)
    solution = np.zeros_like(right)
    residual, direction = right, right
    size = np.square(residual).sum(axis=0)
    enough = _TOLERANCE**2 * size.clip(1e-30)
    for _ in range(_STEPS):
        if (size <= enough).all():
            break
        image = transposed @ (weighted @ direction) + penalty * direction
        step = size / (direction * image).sum(axis=0).clip(1e-30)
        solution = solution + step * direction
        residual = residual - step * image
        new_size = np.square(residual).sum(axis=0)
        direction = residual + new_size / size.clip(1e-30) * direction
        size = new_size
    return ContentMap(mean.astype(np.float32), solution.astype(np.float32))
