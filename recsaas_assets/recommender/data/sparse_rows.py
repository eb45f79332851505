"""A sparse matrix in the form whose product with a dense one is fastest in torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch.nn.functional import embedding_bag


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A matrix (n_rows, n_columns) by rows: row r holds ``values`` in ``columns`` from ``starts[r]`` to the next start.

    Multiplied as a weighted sum of embeddings ("embedding bag"): its kernel fetches the rows of the dense matrix ahead
    of their use and keeps the sum in registers, and is four to five times as fast as torch's CSR product on a CPU
    (docs/benchmarks.md, Gowalla). Rows are summed in a fixed order, whatever the number of threads.
    """

    starts: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor

    @classmethod
    def of(cls, matrix: sparse.csr_array, *, device: str = "cpu") -> SparseRows:
        """From SciPy's form, in the memory of ``device``; indices become int32, values float32."""
        return cls(
            torch.from_numpy(matrix.indptr.astype(np.int32)).to(device),
            torch.from_numpy(matrix.indices.astype(np.int32)).to(device),
            torch.from_numpy(matrix.data.astype(np.float32)).to(device),
        )

    def __matmul__(self, dense: torch.Tensor, /) -> torch.Tensor:
        """The product with ``dense`` (n_columns, d), of shape (n_rows, d)."""
        return embedding_bag(
            self.columns, dense, self.starts, mode="sum", per_sample_weights=self.values, include_last_offset=True
        )
