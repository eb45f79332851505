"""Pandera schemas of the training set's tables, and the check that runs before a fit."""

import pandera.errors
import pandera.polars as pa
import polars as pl

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.id_map import IdMap
from resources.base.errors import FieldProblem, InvalidInput


def id_map_schema(id_column: str, row_column: str) -> pa.DataFrameSchema:
    """Ids: unique, not null; rows: contiguous from 0."""
    contiguous = pa.Check(
        lambda data: data.lazyframe.select(pl.col(data.key).cast(pl.Int64) == pl.int_range(pl.len())),
        error="rows are contiguous from 0",
    )
    return pa.DataFrameSchema(
        {
            row_column: pa.Column(pl.Int32, contiguous, nullable=False),
            id_column: pa.Column(pl.String, nullable=False, unique=True),
        },
        strict=True,
    )


def pairs_schema(n_users: int, n_items: int) -> pa.DataFrameSchema:
    """Pairs: unique, rows within the maps, weights above 0 and finite, ages from 0."""
    finite = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_finite()), error="finite")
    return pa.DataFrameSchema(
        {
            "user_row": pa.Column(pl.Int32, pa.Check.in_range(0, n_users - 1), nullable=False),
            "item_row": pa.Column(pl.Int32, pa.Check.in_range(0, n_items - 1), nullable=False),
            "weight": pa.Column(pl.Float32, [pa.Check.gt(0), finite], nullable=False),
            "age_days": pa.Column(pl.Float32, [pa.Check.ge(0), finite], nullable=False),
        },
        unique=["user_row", "item_row"],
        strict=True,
    )


def validate_training_set(training_set: TrainingSet) -> None:
    """Check every table and the order of the split times.

    Raises InvalidInput with one detail per broken rule; the detail's field is ``<table>.<column>``.
    """
    problems = _problems("users", id_map_schema("user_id", "user_row"), _ids(training_set.users, "user"))
    problems += _problems("items", id_map_schema("item_id", "item_row"), _ids(training_set.items, "item"))
    schema = pairs_schema(training_set.n_users, training_set.n_items)
    for part, pairs in (*training_set.parts.items(), ("disliked", training_set.disliked)):
        if len(pairs):
            problems += _problems(part, schema, pairs.to_polars())
    if not len(training_set.full):
        problems.append(FieldProblem("full", "holds no pair"))
    problems += _split_problems(training_set)
    if problems:
        listed = "; ".join(f"{each.field}: {each.message}" for each in problems)
        raise InvalidInput(f"The training set is not valid ({listed}). Rebuild it.", details=tuple(problems))


def _ids(id_map: IdMap, name: str) -> pl.DataFrame:
    return id_map.to_polars(id_column=f"{name}_id", row_column=f"{name}_row")


def _problems(table: str, schema: pa.DataFrameSchema, frame: pl.DataFrame) -> list[FieldProblem]:
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases.select("column", "check").unique(maintain_order=True)
        return [FieldProblem(f"{table}.{column}", f"breaks {check}") for column, check in cases.iter_rows()]
    return []


def _split_problems(training_set: TrainingSet) -> list[FieldProblem]:
    split = training_set.split
    if not split.evaluable:
        held_out = len(training_set.validation) + len(training_set.test)
        return [FieldProblem("split", "is not evaluable but holds pairs out")] if held_out else []
    if split.validation_start is None or split.test_start is None or split.validation_start >= split.test_start:
        return [FieldProblem("split", "needs validation_start before test_start")]
    return []
