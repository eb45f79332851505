"""Runs dbt over one tenant's files.

One parse of the project serves all tenants: the tenant's folders reach the macros when a run starts (see
`dbt_project/macros/tenant_lake.sql`). Models are written into a folder beside the published ones and moved when the
whole run has succeeded.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recsaas_assets.dbt_invocation import PROJECT_DIR, dbt_session
from recsaas_assets.dbt_manifest import parse_manifest, project_hash
from resources.errors import CorruptArtifact, RecsaasError
from resources.lake import TenantLake, read_json, read_parquet, write_json

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

SOURCE_FILES = ("items", "users", "interactions", "raw_uploads", "tenant_settings")
BUILD_FILE = "build.json"

_STAGING_PREFIX = ".dbt-"
_ABANDONED_AFTER_SECONDS = 24 * 3600
_FAILED = ("error", "fail", "runtime error", "partial success")


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of one model or test. `status` is dbt's word; `failures` counts the rows that a test found."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    seconds: float
    severity: str | None
    rows: int | None
    failures: int | None
    message: str | None

    @property
    def failed(self) -> bool:
        """Whether the node broke the run; a test with severity `warn` never does."""
        return self.status in _FAILED


@dataclass(frozen=True, slots=True)
class DbtResult:
    """One dbt invocation for one tenant."""

    tenant: str
    invocation_id: str
    project_hash: str
    seconds: float
    nodes: tuple[NodeResult, ...]

    def models(self) -> tuple[NodeResult, ...]:
        """The models that ran."""
        return tuple(node for node in self.nodes if node.resource_type == "model")

    def tests(self) -> tuple[NodeResult, ...]:
        """The data tests that ran."""
        return tuple(node for node in self.nodes if node.resource_type == "test" and node.status != "skipped")


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """Which dbt invocation published the tenant's models last; goes into the release manifest."""

    invocation_id: str
    project_hash: str


class FeatureBuildFailed(RecsaasError):
    """dbt failed for a tenant, and nothing was published. `result` is there when dbt got as far as running nodes."""

    code = "feature_build_failed"

    def __init__(self, message: str, *, result: DbtResult | None = None) -> None:
        super().__init__(message)
        self.result = result


def run_dbt(
    args: Sequence[str],
    *,
    tenant_lake: TenantLake,
    target_dir: Path,
    project_dir: Path = PROJECT_DIR,
    threads: int = 2,
) -> DbtResult:
    """Run a dbt command such as `["build", "--select", "stg_items"]` over one tenant's files.

    Waits while another dbt run is going on in this process. Models are published only if every node succeeded, each
    file whole. dbt writes its log to `target_dir/logs/<tenant>`, and nothing into the project.

    Raises:
        ConfigurationError: the project does not parse.
        FeatureBuildFailed: a raw file is missing, or dbt or one of its nodes failed.
    """
    tenant = str(tenant_lake.tenant)
    _check_sources(tenant_lake)
    parse_manifest(project_dir, target_dir)
    started = time.monotonic()
    logs = target_dir / "logs" / tenant
    with _staging_folder(tenant_lake) as staging:
        with dbt_session(
            project_dir=project_dir, target_dir=target_dir, logs=logs, run_values=_folders(tenant_lake, staging)
        ) as dbt:
            invocation = dbt.invoke([*args, "--threads", str(threads)])
        result = DbtResult(
            tenant=tenant,
            invocation_id=invocation.invocation_id,
            project_hash=project_hash(project_dir),
            seconds=time.monotonic() - started,
            nodes=_node_results(invocation.outcome, staging),
        )
        _raise_if_failed(invocation.outcome, result, logs)
        if not result.nodes:
            raise FeatureBuildFailed(f"dbt {' '.join(args)} selects no node. Name a model or a test of dbt_project.")
        _publish(result, staging, tenant_lake)
    return result


def read_build(tenant_lake: TenantLake) -> BuildRecord:
    """Return which invocation published the tenant's models last.

    Raises:
        CorruptArtifact: no models were published, or the record is not readable.
    """
    content = read_json(tenant_lake.dbt / BUILD_FILE)
    try:
        return BuildRecord(invocation_id=content["invocation_id"], project_hash=content["project_hash"])
    except (KeyError, TypeError) as error:
        raise CorruptArtifact(
            f"{BUILD_FILE} of tenant {str(tenant_lake.tenant)!r} is not a build record; build the features again."
        ) from error


def _check_sources(tenant_lake: TenantLake) -> None:
    """A missing file must not look like a tenant without data."""
    tenant = str(tenant_lake.tenant)
    missing = [name for name in SOURCE_FILES if not tenant_lake.raw(name).exists()]
    if missing:
        raise FeatureBuildFailed(
            f"Tenant {tenant!r} has no raw {', '.join(missing)}. Materialise the raw assets first, then the features."
        )
    settings = read_parquet(tenant_lake.raw("tenant_settings"))
    if settings.height != 1 or any(settings.null_count().row(0)):
        raise FeatureBuildFailed(
            f"tenant_settings of tenant {tenant!r} must be one row without nulls. Materialise raw_uploads again."
        )


def _folders(tenant_lake: TenantLake, staging: Path) -> dict[str, str]:
    """What `dbt_project/macros/tenant_lake.sql` asks for."""
    return {
        "RECSAAS_RAW": str(tenant_lake.raw("items").parent.absolute()),
        "RECSAAS_MODELS": str(tenant_lake.dbt.absolute()),
        "RECSAAS_STAGING": str(staging.absolute()),
    }


@contextmanager
def _staging_folder(tenant_lake: TenantLake) -> Iterator[Path]:
    """A folder on the same file system as the published models, so that publishing is a rename."""
    tenant_lake.dbt.mkdir(parents=True, exist_ok=True)
    root = Path(str(tenant_lake.root))
    for left in root.glob(f"{_STAGING_PREFIX}*"):  # by a process that was killed
        if time.time() - left.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    staging = root / f"{_STAGING_PREFIX}{uuid.uuid4().hex}"
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging)


def _node_results(outcome: dbtRunnerResult, staging: Path) -> tuple[NodeResult, ...]:
    results: Any = getattr(outcome.result, "results", ())
    return tuple(_node_result(result, staging) for result in results if hasattr(result, "node"))


def _node_result(result: Any, staging: Path) -> NodeResult:
    node = result.node
    kind = str(node.resource_type)
    file = staging / f"{node.name}.parquet"
    return NodeResult(
        unique_id=node.unique_id,
        name=node.name,
        resource_type=kind,
        status=str(result.status),
        seconds=float(result.execution_time),
        severity=str(node.config.severity).lower() if kind == "test" else None,
        rows=pl.scan_parquet(file).select(pl.len()).collect().item() if kind == "model" and file.exists() else None,
        failures=result.failures,
        message=result.message,
    )


def _raise_if_failed(outcome: dbtRunnerResult, result: DbtResult, logs: Path) -> None:
    failed = [node for node in result.nodes if node.failed]
    if outcome.success and not failed:
        return
    where = f"Nothing was published; the log is {logs / 'dbt.log'}."
    if not failed:
        raise FeatureBuildFailed(
            f"dbt did not run for tenant {result.tenant!r}: {outcome.exception}. {where}", result=result
        ) from outcome.exception
    first = failed[0]
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    raise FeatureBuildFailed(
        f"Features of tenant {result.tenant!r}: {first.resource_type} {first.name}{others} failed: "
        f"{(first.message or first.status).strip()} {where}",
        result=result,
    )


def _publish(result: DbtResult, staging: Path, tenant_lake: TenantLake) -> None:
    """Move the new files over the old ones; the build record comes last."""
    built = result.models()
    for node in built:
        file = staging / f"{node.name}.parquet"
        if not file.exists():
            raise FeatureBuildFailed(
                f"Model {node.name} of tenant {result.tenant!r} was built but wrote no file; nothing was published.",
                result=result,
            )
        _sync(file)
    for node in built:
        os.replace(staging / f"{node.name}.parquet", Path(str(tenant_lake.dbt)) / f"{node.name}.parquet")
    if built:
        write_json(
            tenant_lake.dbt / BUILD_FILE,
            {"invocation_id": result.invocation_id, "project_hash": result.project_hash},
        )


def _sync(file: Path) -> None:
    with open(file, "rb") as handle:
        os.fsync(handle.fileno())
