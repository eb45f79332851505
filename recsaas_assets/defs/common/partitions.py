"""The one partition dimension: a partition is a tenant, mirrored from the control DB."""

from dagster import DynamicPartitionsDefinition

tenants_partitions = DynamicPartitionsDefinition(name="tenants")
