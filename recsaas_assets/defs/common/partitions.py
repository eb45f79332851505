"""The one partition dimension, a partition of which is a tenant of the control DB, and what assets have in common."""

from collections.abc import Sequence
from typing import TypedDict

from dagster import DynamicPartitionsDefinition

tenants_partitions = DynamicPartitionsDefinition(name="tenants")


class AssetOptions(TypedDict):
    """The arguments of `@asset` that all assets of one group share."""

    partitions_def: DynamicPartitionsDefinition
    group_name: str
    owners: Sequence[str]
    code_version: str
