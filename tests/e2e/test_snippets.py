"""The programs in docs/snippets, run as a reader would run them, against a live service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.site import Site, running_site

pytestmark = pytest.mark.e2e
DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS = {"recommend.sh": "sh", "recommend.py": sys.executable, "recommend.mjs": "node", "recommend.php": "php"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("snippets")) as site:
        yield site


def run(name: str, site: Site, *arguments: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    program = shutil.which(PROGRAMS[name])
    if program is None or (name == "recommend.sh" and shutil.which("curl") is None):
        pytest.skip(f"{PROGRAMS[name]} is not installed here")
    environment = {**os.environ, "RECSAAS_URL": site.url, "RECSAAS_KEY": key or site.shop.key}
    return subprocess.run(
        [program, str(DOCS / "snippets" / name), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_it_tracks_an_event_once_and_gets_an_answer_that_knows_it(site: Site, name: str) -> None:
    user = f"someone-{name}"
    for _ in range(2):
        done = run(name, site, user, "b2", f"view-{name}")
        assert done.returncode == 0, done.stderr
        assert "Title b1" in done.stdout
        assert "Because of your interest in Title b2" in done.stdout
    assert [event[1:3] for event in site.tracked() if event[0] == user] == [("b2", "view")]


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_a_refusal_says_what_to_do(site: Site, name: str) -> None:
    done = run(name, site, key="sk_live_wrong")
    assert done.returncode != 0
    assert "The API key is not valid" in done.stdout + done.stderr


def test_the_page_shows_every_program_and_only_files_that_are_there() -> None:
    named = re.findall(r"\]\(snippets/([^)]+)\)", (DOCS / "snippets.md").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(path.name for path in (DOCS / "snippets").iterdir())
