"""Building a Bento that holds the service and the live releases of chosen tenants, so that it runs by itself."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from resources.base.errors import ConfigurationError, Conflict, InvalidInput, NoRelease, RecsaasError
from resources.base.tenant import TenantId
from resources.control_db.copies import take_over
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import list_tenants
from resources.processes.supervisor import python, start_process
from resources.recommendations.packaged import CONTENTS, CONTROL_DB, FOLDER, LAKE, PackageContents
from resources.release.contents import MANIFEST, known_names
from resources.release.manifest import ReleaseManifest
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake, fetch_file

_ROOT = Path(__file__).parents[2]
_SOURCES = ("bento_service", "resources")
_FILES = ("bentofile.yaml", "requirements-bento.txt", "pyproject.toml", "README.md", "LICENSE")
_SECONDS = 600


class BuildFailed(RecsaasError):
    """BentoML could not build; the message has what it said."""

    code = "build_failed"


@dataclass(frozen=True, slots=True)
class BuiltBento:
    """A Bento: its tag, where it lies, and the releases in it by tenant."""

    tag: str
    folder: Path
    releases: dict[str, str]


def build_bento(
    lake: Lake, db: ControlDb, tenants: Sequence[TenantId], *, to: Path, keys: bool, now: datetime
) -> BuiltBento:
    """Build a Bento in the new folder `to`, with the live release of each tenant, or of all that have one.

    Nothing of the installation is changed. The keys themselves are not known to anybody; `keys` puts their hashes into
    the Bento, so that the same keys open it.

    Raises:
        NoRelease: one of the tenants, or every one, has no live release.
        CorruptRelease: a release cannot be read; the message names the file.
        Conflict: there is something at `to`.
        ConfigurationError: this is not a checkout, or BentoML is not installed.
        BuildFailed: BentoML refused.
    """
    if missing := [name for name in (*_SOURCES, *_FILES) if not (_ROOT / name).exists()]:
        raise ConfigurationError(
            f"{', '.join(missing)} is not there: `recsaas package` works in a checkout of recsaas."
        )
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Conflict(f"{to} exists and is not empty; name another folder with --to.")
    live = _live(lake, db, tenants)
    with tempfile.TemporaryDirectory(prefix="recsaas-package-") as name:
        work = Path(name)
        for source in _SOURCES:
            shutil.copytree(_ROOT / source, work / "src" / source, ignore=shutil.ignore_patterns("__pycache__"))
        for file in _FILES:
            shutil.copy(_ROOT / file, work / "src" / file)
        _pack(work, lake, db, live, keys=keys, now=now)
        tag, built = _build(work)
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.exists():
            to.rmdir()
        shutil.move(built, to)
    return BuiltBento(tag, to, {tenant.value: version for tenant, version in live.items()})


def _live(lake: Lake, db: ControlDb, tenants: Sequence[TenantId]) -> dict[TenantId, str]:
    """Return the live version of each tenant; of all that have one when none is named."""
    known = [tenant.id for tenant in list_tenants(db)]
    if strange := sorted(tenant.value for tenant in set(tenants) - set(known)):
        raise InvalidInput(f"There is no tenant {', '.join(strange)}; `recsaas tenant list` shows those that exist.")
    versions = {tenant: ReleaseStore(lake.tenant(tenant)).current() for tenant in dict.fromkeys(tenants or known)}
    live = {tenant: version for tenant, version in versions.items() if version is not None}
    lacking = [tenant.value for tenant in versions if tenant not in live] if tenants else []
    if lacking or not live:
        who = f"Tenant {', '.join(lacking)} has" if lacking else "No tenant has"
        what = "no live release" if lacking else "a live release"
        raise NoRelease(f"{who} {what}; run the pipeline with `recsaas run`, then package.")
    return live


def _pack(work: Path, lake: Lake, db: ControlDb, live: dict[TenantId, str], *, keys: bool, now: datetime) -> None:
    """Lay the package beside the sources."""
    package = work / "src" / FOLDER
    packed = Lake.open(str(package / LAKE), scratch=work / "scratch")
    manifests = [_copy_release(lake, packed, tenant, version, now) for tenant, version in live.items()]
    contents = PackageContents(
        id=secrets.token_hex(16),
        made_at=now,
        releases={tenant.value: version for tenant, version in live.items()},
        keys=keys,
        event_watermark=max(manifest.event_watermark for manifest in manifests),
        item_watermark=max(manifest.item_watermark for manifest in manifests),
    )
    target = open_control_db(f"sqlite:///{package / CONTROL_DB}")
    try:
        take_over(db, target, list(live), keys=keys, numbers=contents.numbers)
    finally:
        target.close()
    for lock in package.glob(f"{CONTROL_DB}.*.lock"):
        lock.unlink()
    (package / CONTENTS).write_text(contents.model_dump_json(indent=2), encoding="utf-8")


def _copy_release(lake: Lake, packed: Lake, tenant: TenantId, version: str, now: datetime) -> ReleaseManifest:
    """Copy one release, and promote the copy, which compares every byte of it with the manifest."""
    source = ReleaseStore(lake.tenant(tenant))
    manifest = source.manifest(version)
    folder = source.directory(version)
    target = packed.tenant(tenant).releases / version
    for name in (*known_names({file.name for file in manifest.files}), MANIFEST):
        fetch_file(folder / name, Path(str(target)) / name)
    store = ReleaseStore(packed.tenant(tenant))
    store.promote(version, now, "recsaas package", "packaged")
    Path(str(packed.tenant(tenant).releases / ".lock")).unlink(missing_ok=True)
    return manifest


def _build(work: Path) -> tuple[str, Path]:
    """Let BentoML build in a store of its own; return the tag, and where the Bento is."""
    home = work / "bentoml"
    environment = {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "RECSAAS_HOME": str(work / "home"),
        "RECSAAS_LAKE": "",
        "RECSAAS_DATABASE": "",
    }
    command = python("-m", "bentoml", "build", "--output", "tag", str(work / "src"))
    process = start_process(command, environment, out=subprocess.PIPE, errors=subprocess.PIPE, working_dir=work / "src")
    try:
        out, errors = (text.decode(errors="replace") for text in process.communicate(timeout=_SECONDS))
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise BuildFailed(f"BentoML did not build within {_SECONDS} s.") from error
    if "No module named bentoml" in errors:
        raise ConfigurationError("BentoML is not installed here; install recsaas[pipeline,serving].")
    tag = next((line.removeprefix("__tag__:") for line in out.splitlines() if line.startswith("__tag__:")), None)
    if process.returncode or tag is None:
        raise BuildFailed(f"BentoML could not build:\n{errors.strip()[-2000:] or out.strip()[-2000:]}")
    name, _, version = tag.partition(":")
    return tag, home / "bentos" / name / version
