"""Everything a person can set, call or look at is documented, and what is documented exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from bento_service.app import create_app
from recsaas_assets.cli import cli
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb, open_control_db
from resources.storage.lake import Lake
from resources.tenants.settings import LoginSettings, ServingSettings, TenantSettings, TrainingSettings, UploadSettings
from tests.cell_table import PAGE, page_with_tables
from tests.header_table import HEADERS_PAGE, headers_page
from tests.role_table import ACCOUNTS_PAGE, accounts_page

ROOT = Path(__file__).parents[2]
NOT_IN_OPENAPI = {"GET /docs", "GET /", "GET /openapi.json", "GET /data-docs", "GET /shop", "GET /static/recsaas.js"}

# In a process of its own: it parses the dbt project into RECSAAS_HOME, and Dagster's preview warnings are not ours.
_GRAPH = """
import json, sys
from recsaas_assets.definitions import defs
graph, repository = defs.resolve_asset_graph(), defs.get_repository_def()
names = {
    "assets": [key.path[-1] for key in graph.get_all_asset_keys()],
    "checks": [key.name for key in graph.asset_check_keys],
    "sensors": [each.name for each in repository.sensor_defs],
    "jobs": [each.name for each in repository.get_all_jobs() if not each.name.startswith("__")],
    "schedules": [each.name for each in repository.schedule_defs],
}
sys.stdout.write("\\n" + json.dumps(names))
"""


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    environment = {**os.environ, "RECSAAS_HOME": str(tmp_path_factory.mktemp("home")), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", _GRAPH], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return names


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ControlDb]:
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    yield db
    db.close()


def commands(command: click.Command, path: str) -> Iterator[str]:
    """Every command that does something; a group does nothing by itself."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, f"{path} {name}")


def test_every_setting_is_documented() -> None:
    rows = re.findall(r"^\| `(RECSAAS_\w+)` \| (.+?) \| .{20,} \|$", page("docs/settings.md"), re.MULTILINE)
    defaults = dict(rows)
    assert set(defaults) == {f"RECSAAS_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if field.default != "":  # an empty one is worked out from the home
            assert f"`{field.default}`" in defaults[f"RECSAAS_{name.upper()}"], name


def test_every_setting_of_a_tenant_is_documented() -> None:
    text = page("docs/settings.md")
    names = [name for name in TenantSettings.model_fields if name not in ("login", "serving", "training", "uploads")]
    names += [f"training.{name}" for name in TrainingSettings.model_fields]
    names += [f"uploads.{name}" for name in UploadSettings.model_fields]
    names += [f"login.{name}" for name in LoginSettings.model_fields]
    names += [f"serving.{name}" for name in ServingSettings.model_fields]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_command_is_documented_with_an_example() -> None:
    sections = re.split(r"^### ", page("docs/cli.md"), flags=re.MULTILINE)[1:]
    documented = {section.split("\n")[0].strip("`"): section for section in sections}
    assert set(documented) == set(commands(cli, "recsaas"))
    for command, section in documented.items():
        example = re.search(r"```\n(.+?)\n```", section, re.DOTALL)
        assert example is not None, command
        assert command in example[1], command


def test_every_option_that_the_command_page_names_exists() -> None:
    known = {"--json"}

    def collect(command: click.Command) -> None:
        known.update(name for parameter in command.params for name in parameter.opts)
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                child = command.get_command(click.Context(command), name)
                assert child is not None
                collect(child)

    collect(cli)
    assert set(re.findall(r"--[a-z][a-z-]+", page("docs/cli.md"))) <= known


def test_every_route_is_documented(tmp_path: Path, db: ControlDb) -> None:
    app = create_app(
        Settings(home=tmp_path), db, Lake.open(str(tmp_path / "lake"), scratch=tmp_path), lambda: datetime.now(UTC)
    )
    paths = app.openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    text = page("docs/api.md")
    rows = set(re.findall(r"^\| `([A-Z]+ /\S*)` \| .+ \| .{10,} \|$", text, re.MULTILINE))
    assert rows | {"GET /"} == routes | NOT_IN_OPENAPI
    for path, methods in paths.items():
        for method, operation in methods.items():
            (row,) = (line for line in text.splitlines() if line.startswith(f"| `{method.upper()} {path}` |"))
            assert ("| none |" in row) == ("security" not in operation or path == "/health"), path


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["assets", "sensors", "jobs", "schedules"])
def test_every_part_of_the_graph_is_documented(graph: dict[str, list[str]], kind: str) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", page("docs/assets.md"), re.MULTILINE))
    assert set(graph[kind]) - rows == set()


@pytest.mark.e2e
def test_every_check_is_documented(graph: dict[str, list[str]]) -> None:
    text = page("docs/assets.md")
    names = set(re.findall(r"`(\w+)`", text))
    prefixes = tuple(re.findall(r"`(\w+_)…`", text))
    missing = [name for name in graph["checks"] if name not in names and not name.startswith(prefixes)]
    assert missing == []


@pytest.mark.e2e
def test_nothing_is_documented_that_the_graph_does_not_have(graph: dict[str, list[str]]) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", page("docs/assets.md"), re.MULTILINE))
    assert rows - {name for names in graph.values() for name in names} == set()


def test_links_between_pages_lead_somewhere() -> None:
    for name in ("settings", "cli", "api", "accounts", "assets", "snippets"):
        for target in re.findall(r"\]\(([^)#]+)\)", page(f"docs/{name}.md")):
            assert (ROOT / "docs" / target).exists(), f"docs/{name}.md links to {target}"


PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
THAT_WAS = ("CHANGELOG.md", "docs/adr/")
"""Pages that tell of a time, and may name a file of that time."""


@pytest.mark.parametrize("name", [name for name in PAGES if not name.startswith(THAT_WAS)])
def test_every_file_that_a_page_names_exists(name: str) -> None:
    """A page may name a file by the end of its path: `answer_json.py`, `ranker/index.py`."""
    folders = ("resources", "recsaas_assets", "bento_service", "dbt_project", "tests", "docs")
    known = [path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.*")]
    named = re.findall(r"`([\w./-]+\.(?:py|sql))`|(?<!\w)(tests/[\w/]+\.py)", page(name))
    for mention in sorted({first or second for first, second in named}):
        assert any(f"/{path}".endswith(f"/{mention}") for path in known), mention


@pytest.mark.parametrize("flow", ["From an upload to a release", "From a request to an answer"])
def test_a_flow_has_at_most_twelve_hops_each_with_a_file(flow: str) -> None:
    section = page("docs/architecture.md").split(f"## {flow}\n")[1].split("\n## ")[0]
    hops = re.findall(r"^(\d+)\. (.+(?:\n {3}.+)*)", section, re.MULTILINE)
    assert [int(number) for number, _ in hops] == [*range(1, len(hops) + 1)] and 6 < len(hops) <= 12
    for _, hop in hops:
        files = re.findall(r"\]\(\.\./([\w/]+\.py)\)", hop)
        assert files and all((ROOT / file).is_file() for file in files), hop


def test_the_readme_names_the_two_commands_that_matter() -> None:
    text = page("README.md")
    assert "make demo" in text
    assert "make test" in text


def test_the_tables_of_the_data_contract_are_those_the_upload_applies() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page_with_tables(page) == page, "write them anew: python -m tests.cell_table"


def test_the_tables_of_headers_are_those_the_upload_applies() -> None:
    text = (ROOT / HEADERS_PAGE).read_text(encoding="utf-8")
    assert headers_page(text) == text, "write them anew: python -m tests.header_table"


def test_the_table_of_roles_is_the_one_in_the_code() -> None:
    text = (ROOT / ACCOUNTS_PAGE).read_text(encoding="utf-8")
    assert accounts_page(text) == text, "write it anew: python -m tests.role_table"


def test_the_glossary_is_short_and_its_names_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", page("docs/glossary.md"), re.MULTILINE)[1:]
    terms = [term for term, _ in rows]
    assert 40 < len(terms) <= 60 and len(set(terms)) == len(terms)
    sources = [path.read_text() for top in ("resources", "recsaas_assets", "bento_service") for path in python_of(top)]
    defined = set(
        re.findall(r"^\s*(?:class|def|async def) (\w+)|^(\w+)(?:: [^=\n]+)? = ", "\n".join(sources), re.MULTILINE)
    )
    names = {name for _, cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert names and not names - {name for each in defined for name in each}


def python_of(top: str) -> Iterator[Path]:
    return (ROOT / top).rglob("*.py")
