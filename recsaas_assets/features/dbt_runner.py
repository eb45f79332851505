"""Runs dbt over one tenant's files.

One parse of the project serves all tenants: the tenant's folders reach the macros when a run starts (see
`dbt_project/macros/tenant_lake.sql`). Models are written into a folder beside the published ones and moved when the
whole run has succeeded. DuckDB cannot read an object store without a network extension: there, dbt works on copies in
the tenant's scratch folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from upath import UPath

from recsaas_assets.features.dbt_invocation import PROJECT_DIR, dbt_session
from recsaas_assets.features.dbt_manifest import parse_manifest, project_hash
from resources.base.errors import CorruptArtifact, RecsaasError
from resources.storage.disk import work_folder
from resources.storage.file_store import StoredFile
from resources.storage.lake import (
    TenantLake,
    fetch_file,
    local_path,
    put_file,
    read_json,
    read_parquet,
    sync,
    write_json,
)
from resources.storage.listing import list_files

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

SOURCE_FILES = ("items", "users", "interactions", "raw_uploads", "tenant_settings")
BUILD_FILE = "build.json"

DBT_MEMORY_BYTES = 2 * 1024**3
"""What DuckDB may hold of one tenant before it spills to disk."""

_OUT_OF_MEMORY = "Out of Memory Error"
_FAILED = ("error", "fail", "runtime error", "partial success")


@dataclass(frozen=True, slots=True)
class NodeResult:
    """The outcome of one model or test. `status` is dbt's word; `failures` counts the rows that a test found."""

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
    """The dbt invocation that published the tenant's models last; goes into the release manifest."""

    invocation_id: str
    project_hash: str


@dataclass(frozen=True, slots=True)
class PointInTime:
    """Build from the interactions before `as_of` only, into the folder `out`."""

    as_of: datetime
    out: UPath


class FeatureBuildFailed(RecsaasError):
    """dbt failed for a tenant, and nothing was published. `result` is there when dbt got as far as running nodes."""

    code = "feature_build_failed"

    def __init__(self, message: str, *, result: DbtResult | None = None) -> None:
        super().__init__(message)
        self.result = result

    @property
    def out_of_memory(self) -> bool:
        """Whether a node needed more memory than a run may take."""
        return bool(self.out_of_memory_in)

    @property
    def out_of_memory_in(self) -> tuple[str, ...]:
        """Names of the nodes that needed more memory than a run may take."""
        nodes = self.result.nodes if self.result is not None else ()
        return tuple(node.name for node in nodes if node.failed and _OUT_OF_MEMORY in (node.message or ""))


def run_dbt(
    args: Sequence[str],
    *,
    tenant_lake: TenantLake,
    target_dir: Path,
    project_dir: Path = PROJECT_DIR,
    threads: int = 2,
    memory_bytes: int = DBT_MEMORY_BYTES,
    point_in_time: PointInTime | None = None,
) -> DbtResult:
    """Run a dbt command such as `["build", "--select", "stg_items"]` over one tenant's files.

    Waits while another dbt run is going on in this process. Models are published only if every node succeeded, each
    file whole. dbt writes its log to `target_dir/logs/<tenant>`, and nothing into the project. With `point_in_time`
    the models go into its folder, and the tenant's own are neither read nor changed. What runs out of memory is built
    once more with nothing beside it: one model at a time, in one thread.

    Raises:
        ConfigurationError: the project does not parse.
        FeatureBuildFailed: a raw file is missing, or dbt or one of its nodes failed.
    """
    _check_sources(tenant_lake)
    parse_manifest(project_dir, target_dir)
    build = _Build(tuple(args), tenant_lake, target_dir, project_dir, memory_bytes, point_in_time)
    try:
        return build.run(threads=threads, alone=False)
    except FeatureBuildFailed as failure:
        if not failure.out_of_memory:
            raise
    return build.run(threads=1, alone=True)


@dataclass(frozen=True, slots=True)
class _Build:
    """A dbt command over one tenant's files, see `run_dbt`."""

    args: tuple[str, ...]
    tenant_lake: TenantLake
    target_dir: Path
    project_dir: Path
    memory_bytes: int
    point_in_time: PointInTime | None

    def run(self, *, threads: int, alone: bool) -> DbtResult:
        """Invoke dbt once and publish what it has built; `alone`: one model at a time."""
        tenant = str(self.tenant_lake.tenant)
        started = time.monotonic()
        logs = self.target_dir / "logs" / tenant
        with _work_folders(self.tenant_lake, self.args) as folders:
            with dbt_session(
                project_dir=self.project_dir,
                target_dir=self.target_dir,
                logs=logs,
                run_values=_run_values(folders, self.memory_bytes, self.point_in_time, alone=alone),
            ) as dbt:
                invocation = dbt.invoke([*self.args, "--threads", str(threads)])
            result = DbtResult(
                tenant=tenant,
                invocation_id=invocation.invocation_id,
                project_hash=project_hash(self.project_dir),
                seconds=time.monotonic() - started,
                nodes=_node_results(invocation.outcome, folders.staging),
            )
            _raise_if_failed(invocation.outcome, result, logs)
            if not result.nodes:
                command = " ".join(self.args)
                raise FeatureBuildFailed(f"dbt {command} selects no node. Name a model or a test of dbt_project.")
            _publish(result, folders.staging, self.point_in_time.out if self.point_in_time else self.tenant_lake.dbt)
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


@dataclass(frozen=True, slots=True)
class _Folders:
    """Folders of this machine: raw files, models as last published, and what this run writes."""

    raw: Path
    published: Path
    staging: Path


def _run_values(
    folders: _Folders, memory_bytes: int, point_in_time: PointInTime | None, *, alone: bool
) -> dict[str, str]:
    """The values that `dbt_project/macros/tenant_lake.sql` reads."""
    # The published models know what came after that time: with no folder of models, none can be read.
    as_of = {} if point_in_time is None else {"RECSAAS_AS_OF": point_in_time.as_of.isoformat(), "RECSAAS_MODELS": ""}
    return {
        "RECSAAS_RAW": str(folders.raw),
        "RECSAAS_MODELS": str(folders.published),
        "RECSAAS_STAGING": str(folders.staging),
        "RECSAAS_SPILL": str(folders.staging / "spill"),
        "RECSAAS_MEMORY": str(memory_bytes),
        "RECSAAS_ALONE": "1" if alone else "",
        **as_of,
    }


@contextmanager
def _work_folders(tenant_lake: TenantLake, args: Sequence[str]) -> Iterator[_Folders]:
    """The folders that dbt works on: in a lake that is a folder, so that publishing is a rename, else copies."""
    if (here := local_path(tenant_lake.root)) is not None:
        tenant_lake.dbt.mkdir(parents=True, exist_ok=True)
        root = here.absolute()
        with work_folder(root, "dbt") as staging:
            yield _Folders(raw=root / "raw", published=root / "dbt", staging=staging)
        return
    with work_folder(tenant_lake.scratch.absolute(), "dbt") as work:
        folders = _Folders(raw=work / "raw", published=work / "published", staging=work / "staging")
        for folder in (folders.raw, folders.published, folders.staging):
            folder.mkdir()
        for name in SOURCE_FILES:
            fetch_file(tenant_lake.raw(name), folders.raw / f"{name}.parquet")
        for file in _read_by(args, list_files(tenant_lake.dbt)):
            fetch_file(tenant_lake.dbt / file.name, folders.published / file.name)
        yield folders


def _read_by(args: Sequence[str], published: Iterable[StoredFile]) -> Iterator[StoredFile]:
    """The published models that a command may read: those that it does not build itself."""
    builds_all = args[0] != "test" and "--select" not in args
    for file in published:
        name, _, ending = file.name.partition(".")
        if ending == "parquet" and not builds_all and (args[0] == "test" or name not in args):
            yield file


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


def _publish(result: DbtResult, staging: Path, target: UPath) -> None:
    """Put the new files in place of the old ones, by a rename beside them; the build record comes last."""
    here = local_path(target)
    beside = here is not None and here.absolute().parent == staging.parent
    built = result.models()
    for node in built:
        file = staging / f"{node.name}.parquet"
        if not file.exists():
            raise FeatureBuildFailed(
                f"Model {node.name} of tenant {result.tenant!r} was built but wrote no file; nothing was published.",
                result=result,
            )
        sync(file)
    for node in built:
        file = staging / f"{node.name}.parquet"
        if beside:
            os.replace(file, str(target / file.name))
        else:
            put_file(file, target / file.name)
    if built:
        sync(target)
        write_json(
            target / BUILD_FILE,
            {"invocation_id": result.invocation_id, "project_hash": result.project_hash},
        )
