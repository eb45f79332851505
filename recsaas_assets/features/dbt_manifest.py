"""The dbt project without any tenant: its hash, its manifest and its documentation."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from upath import UPath

from recsaas_assets.features.dbt_invocation import PARTIAL_PARSE, PROJECT_DIR, Invocation, dbt_session
from resources.base.errors import ConfigurationError
from resources.storage.lake import write_bytes

_MANIFEST = "manifest.json"
_PARSED_FROM = "parsed_from"
_PACKAGES = ("dbt-core", "dbt-duckdb", "dagster-dbt")


def project_hash(project_dir: Path = PROJECT_DIR) -> str:
    """Return the SHA-256 of the project's SQL and YAML files, with their names."""
    digest = hashlib.sha256()
    for path in sorted(p for p in project_dir.rglob("*") if p.suffix in {".sql", ".yml"}):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(project_dir).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def parse_manifest(project_dir: Path, target_dir: Path) -> Path:
    """Return `target_dir/manifest.json`, parsing the project only if it or dbt has changed since.

    The partial parse is left beside it, from which every run starts.

    Raises:
        ConfigurationError: the project does not parse.
    """
    stamp = "\n".join([project_hash(project_dir), str(project_dir), *(f"{p} {version(p)}" for p in _PACKAGES)])
    names = (_MANIFEST, PARTIAL_PARSE, _PARSED_FROM)
    if all((target_dir / name).exists() for name in names) and (target_dir / _PARSED_FROM).read_text() == stamp:
        return target_dir / _MANIFEST
    target_dir.mkdir(parents=True, exist_ok=True)
    with dbt_session(project_dir=project_dir, target_dir=target_dir, logs=target_dir / "logs") as dbt:
        parsed = dbt.invoke(["parse"])
        _check(parsed, "parse", target_dir / "logs")
        (parsed.target / _PARSED_FROM).write_text(stamp)
        for name in names:  # the stamp comes last: without it the next process parses again
            os.replace(parsed.target / name, target_dir / name)
    return target_dir / _MANIFEST


def docs_are_current(page: Path, *, project_dir: Path = PROJECT_DIR) -> bool:
    """Whether `page` documents the project as it is now."""
    stamp = _docs_stamp(page)
    return page.exists() and stamp.exists() and stamp.read_text() == project_hash(project_dir)


def generate_docs(out: Path, *, project_dir: Path = PROJECT_DIR) -> None:
    """Write the project's documentation to `out` as one HTML page, which needs no server and no network.

    The catalogue of columns comes from a build without any tenant: every source is empty. Beside the page a stamp
    says which project it documents.

    Raises:
        ConfigurationError: the project does not build.
    """
    with tempfile.TemporaryDirectory() as folder:
        target_dir = Path(folder)
        with dbt_session(project_dir=project_dir, target_dir=target_dir, logs=target_dir) as dbt:
            _check(dbt.invoke(["run"]), "run", target_dir)
            docs = dbt.invoke(["docs", "generate", "--static"])
            _check(docs, "docs generate", target_dir)
            page = (docs.target / "static_index.html").read_bytes()
    # Strangers may see the page: it must not say where on this machine the project lies.
    page = page.replace(str(docs.target).encode(), b"target").replace(
        str(project_dir.absolute()).encode(), b"dbt_project"
    )
    write_bytes(UPath(out), page)
    write_bytes(UPath(_docs_stamp(out)), project_hash(project_dir).encode())


def _docs_stamp(page: Path) -> Path:
    return page.with_name(f"{page.name}.{_PARSED_FROM}")


def _check(invocation: Invocation, command: str, logs: Path) -> None:
    if not invocation.outcome.success:
        reason = invocation.outcome.exception or "a model does not build"
        raise ConfigurationError(
            f"`dbt {command}` failed on the project itself: {str(reason).rstrip('.')}. "
            f"Run the tests in tests/dbt; the log is {logs / 'dbt.log'}."
        ) from invocation.outcome.exception
