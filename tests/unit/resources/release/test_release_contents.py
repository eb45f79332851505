from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from resources.base.errors import CorruptArtifact
from resources.release.contents import FOLD_IN, ReleaseContents

F = np.float32


def test_what_fits_together_passes(contents: ReleaseContents) -> None:
    contents.check()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("user_vectors", np.zeros((3, 2), F)),
        ("user_vectors", np.zeros((2, 5), F)),
        ("user_vectors", np.full((2, 2), np.nan, F)),
        ("item_vectors", np.zeros((2, 2), F)),
        ("item_vectors", np.full((3, 2), np.inf, F)),
        ("item_vectors", np.zeros((3, 2), np.float64)),
        ("seen_indptr", np.array([0, 2], np.int64)),
        ("seen_indptr", np.array([0, 3, 2], np.int64)),
        ("seen_indptr", np.array([1, 2, 2], np.int64)),
        ("seen_items", np.array([0, 3], np.int32)),
        ("seen_items", np.array([-1, 0], np.int32)),
        ("seen_items", np.array([0, 1], np.int64)),
        ("user_ids", ("ann", "ann")),
        ("disliked", np.array([[1, 0], [0, 0]], np.int32)),
        ("disliked", np.array([[2, 0]], np.int32)),
        ("disliked", np.array([[0, 3]], np.int32)),
        ("disliked", np.array([[0, 0]], np.int64)),
    ],
)
def test_a_part_that_does_not_fit_is_named(contents: ReleaseContents, part: str, value: object) -> None:
    with pytest.raises(CorruptArtifact, match=f"release {part}"):
        replace(contents, **{part: value}).check()


@pytest.mark.parametrize(
    "change",
    [
        pl.col("item_id").replace("i1", "i0"),
        pl.col("item_row") + 1,
        pl.lit(None, pl.Boolean).alias("has_vector"),
        pl.lit(None, pl.Boolean).alias("in_catalogue"),
    ],
)
def test_items_that_are_not_one_row_per_item_are_refused(contents: ReleaseContents, change: pl.Expr) -> None:
    with pytest.raises(CorruptArtifact, match="release items"):
        replace(contents, items=contents.items.with_columns(change)).check()


def test_a_missing_column_is_named(contents: ReleaseContents) -> None:
    with pytest.raises(CorruptArtifact, match="column brand is missing"):
        replace(contents, items=contents.items.drop("brand")).check()


def test_an_optional_array_is_written_and_listed_only_where_there_is_one(contents: ReleaseContents) -> None:
    assert FOLD_IN not in contents.file_names
    assert FOLD_IN in replace(contents, fold_in=np.zeros((3, 2), F)).file_names


@pytest.mark.parametrize("value", [np.zeros((2, 2), F), np.zeros((3, 2)), np.zeros(3, F), np.full((3, 2), np.nan, F)])
def test_an_optional_array_that_does_not_fit_is_named(contents: ReleaseContents, value: object) -> None:
    with pytest.raises(CorruptArtifact, match="release fold_in"):
        replace(contents, fold_in=value).check()
