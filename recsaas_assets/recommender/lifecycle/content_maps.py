"""Maps from the content of items to what a fit has learned of them, after Gantner et al. (2010).

Both learn from at most 20,000 warm items, those with the greatest confidence, so that neither memory nor time grows
with the product of two catalogues. Coordinates of a singular value decomposition in the place of the features (128, 256
and 512 were tried) were faster and ranked worse, so the maps read the sparse features themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Floats, Rows
from recsaas_assets.recommender.data.sparse_rows import SparseRows

MOST_WARM = 20_000
_BLOCK = 512
_DAMPING = 0.3
_STEPS, _TOLERANCE = 200, 1e-3


class ContentMap(Protocol):
    """Says what a fit would have learned of items with some content."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def predict(self, warm: sparse.csr_array, targets: Floats, confidence: Floats, cold: sparse.csr_array) -> Floats:
        """Targets (m, t) float32 of items with content ``cold`` (m, f).

        Args:
            warm: (n, f), content of the items that are known.
            targets: (n, t), what is known of them.
            confidence: (n,), how much each of them counts.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ridge:
    """m + xW with W = argmin Σ c_i |y_i − m − x_i W|² + λ|W|², for targets y with mean m and confidence c.

    Hoerl and Kennard (1970). Solved by conjugate gradients, for all targets at once.
    """

    penalty: float

    @property
    def name(self) -> str:
        """For people."""
        return f"ridge regression, penalty {self.penalty:g}"

    def predict(self, warm: sparse.csr_array, targets: Floats, confidence: Floats, cold: sparse.csr_array) -> Floats:
        """See `ContentMap`."""
        asked = _surest(confidence)
        known, voice = warm[asked], confidence[asked]
        mean = np.average(targets[asked], axis=0, weights=voice).astype(np.float32)
        weighted = SparseRows.of(sparse.csr_array(sparse.diags_array(voice) @ known))
        back = SparseRows.of(sparse.csr_array(known.T))
        weights_of = torch.from_numpy(voice)[:, None]
        right = back @ (weights_of * torch.from_numpy((targets[asked] - mean).astype(np.float32)))
        solution = self._solved(right, weighted, back)
        return np.asarray(cold @ solution.numpy() + mean, dtype=np.float32)

    def _solved(self, right: torch.Tensor, weighted: SparseRows, back: SparseRows) -> torch.Tensor:
        solution = torch.zeros_like(right)
        residual, direction = right, right
        size = residual.square().sum(dim=0)
        enough = _TOLERANCE**2 * size.clamp_min(1e-30)
        for _ in range(_STEPS):
            if bool((size <= enough).all()):
                break
            image = back @ (weighted @ direction) + self.penalty * direction
            step = size / (direction * image).sum(dim=0).clamp_min(1e-30)
            solution = solution + step * direction
            residual = residual - step * image
            new_size = residual.square().sum(dim=0)
            direction = residual + new_size / size.clamp_min(1e-30) * direction
            size = new_size
        return solution


@dataclass(frozen=True, slots=True)
class Nearest:
    """The mean of the warm items most alike, by squared cosine times confidence, damped to the mean of all."""

    neighbours: int

    @property
    def name(self) -> str:
        """For people."""
        return f"the {self.neighbours} items most alike"

    def predict(self, warm: sparse.csr_array, targets: Floats, confidence: Floats, cold: sparse.csr_array) -> Floats:
        """See `ContentMap`."""
        asked = _surest(confidence)
        mean = np.average(targets[asked], axis=0, weights=confidence[asked])
        known = sparse.csr_array(warm[asked].T)
        weight = torch.from_numpy(confidence[asked])
        differences = torch.from_numpy((targets[asked] - mean).astype(np.float32))
        width = min(self.neighbours, len(asked))
        found = np.empty((cold.shape[0], targets.shape[1]), dtype=np.float32)
        for start in range(0, cold.shape[0], _BLOCK):
            cosines = torch.from_numpy((cold[start : start + _BLOCK] @ known).toarray())
            alike, places = cosines.topk(width, dim=1)
            voice = alike.square() * weight[places]
            said = torch.einsum("bk,bkt->bt", voice, differences[places])
            found[start : start + _BLOCK] = (said / (voice.sum(dim=1, keepdim=True) + _DAMPING)).numpy()
        return found + mean.astype(np.float32)


MAPS: tuple[Ridge | Nearest, ...] = (Ridge(3.0), Ridge(10.0), Ridge(30.0), Nearest(5), Nearest(20), Nearest(50))


def _surest(confidence: Floats) -> Rows:
    """Rows of the items that count most, in their own order."""
    return np.sort(np.argsort(-confidence, kind="stable")[:MOST_WARM]).astype(np.int32)
