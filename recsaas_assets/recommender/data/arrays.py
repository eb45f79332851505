"""Names for the arrays of the recommender."""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]
"""Row numbers of users or items; −1 is none."""
Mask = npt.NDArray[np.bool_]
"""Which users or items, by row."""
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
"""Scores of items: the higher, the better."""
Values = npt.NDArray[np.float64]
"""Figures that are averaged, such as a metric of each user, (n_users,)."""
Vectors = npt.NDArray[np.float32]
"""One vector a row, (n_rows, d)."""
