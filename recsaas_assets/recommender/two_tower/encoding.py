"""dbt features as inputs of a tower: of one scale, without gaps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from recsaas_assets.recommender.data.feature_tables import FeatureTable

_CLIP = 5.0


def encode(table: FeatureTable | None, n_rows: int, fitted: npt.NDArray[np.bool_]) -> torch.Tensor:
    """Inputs (n_rows, width) float32; width 0 without a table or without anything that tells rows apart.

    Counts, sums and prices are heavy-tailed: sign(x)·log(1 + |x|), then mean 0 and deviation 1 over the rows marked
    in ``fitted`` (n_rows,), cut at 5 deviations. A missing value is 0, and each column with gaps has a column of flags
    after the values.
    """
    if table is None or not fitted.any():
        return torch.zeros(n_rows, 0)
    missing = np.isnan(table.values)
    damped = np.sign(table.values) * np.log1p(np.abs(table.values))
    known = np.where(missing | ~fitted[:, None], 0, damped).astype(np.float64)
    counts = np.maximum((~missing & fitted[:, None]).sum(axis=0), 1)
    means = known.sum(axis=0) / counts
    spreads = np.sqrt(np.maximum((known**2).sum(axis=0) / counts - means**2, 0))
    constant = spreads < 1e-6
    scaled = np.where(missing, 0, (damped - means) / np.where(constant, 1, spreads)).clip(-_CLIP, _CLIP)
    flags = missing[:, missing[fitted].any(axis=0) & ~missing[fitted].all(axis=0)]
    return torch.from_numpy(np.hstack([scaled[:, ~constant], flags]).astype(np.float32))
