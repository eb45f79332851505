"""The sparse product against the dense one."""

import numpy as np
import pytest
import torch
from scipy import sparse

from recsaas_assets.recommender.data.sparse_rows import SparseRows


@pytest.mark.parametrize("shape", [(1, 1), (4, 7), (0, 3), (5, 0)])
@pytest.mark.parametrize("width", [1, 63, 64])
def test_product_equals_the_dense_product(shape: tuple[int, int], width: int) -> None:
    rng = np.random.default_rng(0)
    # About half of the cells are empty, and so is the last row.
    cells = rng.normal(size=shape) * (rng.random(shape) < 0.5)
    cells[-1:] = 0
    matrix = cells.astype(np.float32)
    dense = torch.randn(shape[1], width, generator=torch.Generator().manual_seed(1))
    product = SparseRows.of(sparse.csr_array(matrix)) @ dense
    torch.testing.assert_close(product, torch.from_numpy(matrix) @ dense)
