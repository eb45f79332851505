"""`recsaas doctor`: checks the installation and says what to do."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import click
from packaging.requirements import Requirement

from recsaas_assets.commands.console import Installation, json_option, notes, print_json, results
from recsaas_assets.commands.platform.checks import CheckResult, try_check
from recsaas_assets.commands.platform.database_checks import database_checks
from recsaas_assets.platform.exposure import open_doors, readable_by_others
from resources.base.errors import ConfigurationError, RecsaasError
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.rules import unusable_rules
from resources.control_db.tenants import list_tenants
from resources.mail.server import MailServer
from resources.processes.process import private_folder
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake, read_bytes, write_bytes
from resources.storage.listing import list_files, remove_folder

_FREE_BYTES = 2 * 1024**3


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check the installation and say what to do. Exits with 1 when something is wrong."""
    findings = []
    for finding in _findings():
        findings.append(finding)
        if not as_json:
            mark = "[green]ok  [/]" if finding.ok else "[bold red]FAIL[/]"
            results.print(f"{mark} {finding.check}: {finding.found}", soft_wrap=True)
            if not finding.ok:
                results.print(f"       → {finding.advice}", soft_wrap=True)
    healthy = all(f.ok for f in findings)
    if as_json:
        checks = [{"check": f.check, "ok": f.ok, "found": f.found, "advice": f.advice} for f in findings]
        print_json({"healthy": healthy, "checks": checks})
    elif healthy:
        notes.print("Everything is in order.")
    if not healthy:
        raise SystemExit(1)


def _findings() -> Iterator[CheckResult]:
    found = ".".join(map(str, sys.version_info[:3]))
    yield CheckResult(
        "Python", sys.version_info >= (3, 11), found, "Install Python 3.11 or newer and run make install."
    )
    yield _packages()
    site = Installation()
    yield try_check("settings", lambda: f"state in {site.settings.home}", "See docs/settings.md.")
    try:
        home = site.settings.home
    except RecsaasError:
        return
    yield _writable(home)
    yield _disk(home)
    yield _private(site.settings)
    yield from _doors(site.settings)
    yield try_check("mails", lambda: _mails(site.settings), "Check RECSAAS_SMTP_URL and the server; docs/accounts.md.")
    lake = try_check("lake", lambda: _round_trip(site.lake), "Check RECSAAS_LAKE; docs/settings.md has what S3 needs.")
    yield lake
    databases = tuple(database_checks(site))
    yield from databases
    yield try_check("dbt project", lambda: _parse(site), "Read the message; a model or a macro was changed.")
    yield try_check("asset graph", _load_graph, "Read the message; recsaas_assets does not load.")
    yield try_check("service", _load_service, "Run make install: the serving extra is missing or broken.")
    if databases[0].ok:
        yield from _unusable(site.db)
    if databases[0].ok and lake.ok:
        for tenant in list_tenants(site.db):
            store = ReleaseStore(site.lake.tenant(tenant.id))

            def check(store: ReleaseStore = store) -> str:
                current = store.current()
                return "none yet" if current is None else f"{store.verify(current).version} is intact"

            yield try_check(
                f"release of {tenant.id}", check, f"recsaas releases rollback {tenant.id}, or recsaas run {tenant.id}"
            )


def _packages() -> CheckResult:
    """Every pinned requirement of the extras this command needs is there in the right version."""
    wrong = []
    for text in requires("recsaas") or []:
        requirement = Requirement(text)
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", "pipeline", "serving")
        ):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} is {installed}, needed {requirement.specifier}")
    return CheckResult("packages", not wrong, "; ".join(wrong) or "all there", "Run make install.")


def _writable(home: Path) -> CheckResult:
    try:
        if not home.exists():
            private_folder(home)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return CheckResult(
            "state folder", False, f"{home}: {error.strerror}", "Set RECSAAS_HOME to a folder you may write."
        )
    return CheckResult("state folder", True, str(home))


def _private(settings: Settings) -> CheckResult:
    found = readable_by_others(settings)
    listed = ", ".join(map(str, found))
    return CheckResult(
        "files",
        not found,
        f"other users of this machine can get at {listed}" if found else "nobody else can read them",
        " && ".join(f"chmod {'go' if path == settings.home else 'o'}-rwx {path}" for path in found),
    )


def _doors(settings: Settings) -> Iterator[CheckResult]:
    """Addresses of a running platform; the service asks for a key everywhere, the Dagster UI nowhere."""
    local = settings.dagster_host in ("127.0.0.1", "::1", "localhost")
    yield CheckResult(
        "Dagster UI",
        local,
        f"listens on {settings.dagster_host} and asks for no login"
        + (": whoever works on this machine can use it" if local else ""),
        "Leave RECSAAS_DAGSTER_HOST at 127.0.0.1 and put a proxy with a login in front of it; see SECURITY.md.",
    )
    doors = open_doors(settings)
    if doors:
        expected = len(doors) <= 2
        yield CheckResult(
            "ports",
            expected,
            ", ".join(map(str, doors)),
            "Only the service and the Dagster UI should listen; see SECURITY.md for what each process opens.",
        )


def _mails(settings: Settings) -> str:
    """Log in to the mail server, and send nothing."""
    if not settings.smtp_url:
        return f"no server is set up (RECSAAS_SMTP_URL): mails are files in {settings.outbox}"
    found = MailServer.parse(settings.smtp_url).check()
    return found if settings.public_url else f"{found}; links lead to {settings.site_url} (RECSAAS_PUBLIC_URL)"


def _unusable(db: ControlDb) -> Iterator[CheckResult]:
    """Settings and rules of tenants that are stored and do not count."""
    for tenant in list_tenants(db):
        settings = [f"{each.name} = {each.value}: {each.reason}" for each in tenant.unusable_settings]
        if settings:
            advice = f"recsaas tenant settings {tenant.id} shows them; set them again, or change any other setting."
            yield CheckResult(f"settings of {tenant.id}", False, f"not used: {'; '.join(settings)}", advice)
        if rules := unusable_rules(db, tenant.id):
            advice = f"recsaas rules remove {tenant.id} RULE, and add it anew."
            yield CheckResult(f"rules of {tenant.id}", False, f"hold nowhere: {', '.join(rules)}", advice)


def _disk(home: Path) -> CheckResult:
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    return CheckResult(
        "disk", free >= _FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "Free some space; 2 GiB are needed."
    )


def _round_trip(lake: Lake) -> str:
    """Write, list, read and remove a file."""
    folder = lake.root / f".doctor-{uuid.uuid4().hex}"
    try:
        write_bytes(folder / "probe", b"probe")
        listed = [file.name for file in list_files(folder)]
        if listed != ["probe"] or read_bytes(folder / "probe") != b"probe":
            raise ConfigurationError(f"{lake.root} does not give back what was written to it.")
    finally:
        remove_folder(folder)
    return f"{lake.root}, written and read"


def _parse(site: Installation) -> str:
    from recsaas_assets.features.dbt_invocation import PROJECT_DIR
    from recsaas_assets.features.dbt_manifest import parse_manifest

    return f"parsed, manifest at {parse_manifest(PROJECT_DIR, site.settings.dbt_target)}"


def _load_graph() -> str:
    from recsaas_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    return f"{len(graph.get_all_asset_keys())} assets, {len(graph.asset_check_keys)} checks"


def _load_service() -> str:
    import importlib.util

    missing = [name for name in ("bentoml", "fastapi", "prometheus_client") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"missing: {', '.join(missing)}")
    return f"BentoML {version('bentoml')}"
