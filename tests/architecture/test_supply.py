"""What is installed and run is named by its content, not by a name that somebody can point elsewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HASHED = ("requirements.txt", "requirements-serving.txt")


def pins(name: str) -> dict[str, list[str]]:
    """The hashes of each pin, by `name==version`."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {line[0]: line[1:] for line in lines}


@pytest.mark.parametrize("name", HASHED)
def test_every_pin_has_a_hash(name: str) -> None:
    found = pins(name)
    assert len(found) > 50
    for pin, hashes in found.items():
        assert re.fullmatch(r"[a-z0-9.-]+==[^\s;]+", pin)
        assert hashes and all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", each) for each in hashes), pin


def test_only_torch_and_a_bento_go_without() -> None:
    assert {path.name for path in ROOT.glob("requirements*.txt")} == {
        *HASHED,
        "requirements-torch.txt",
        "requirements-bento.txt",
    }
    assert [pin.partition("==")[0] for pin in pins("requirements-torch.txt")] == ["torch"]
    assert list(pins("requirements-bento.txt")) == list(pins("requirements-serving.txt"))
    assert set(pins("requirements-serving.txt")) <= set(pins("requirements.txt"))


def test_what_the_service_asks_for_is_pinned_for_it() -> None:
    """`make lock` makes the files; a merge that loses a line of them stops every installation of the service alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serving"]]
    pinned = {pin.partition("==")[0] for pin in pins("requirements-serving.txt")}
    assert {re.split(r"[^a-z0-9-]", each, maxsplit=1)[0] for each in wanted} <= pinned


def test_make_install_insists_on_the_hashes() -> None:
    installs = re.findall(r"pip install [^;|}]*-r requirements\.txt", (ROOT / "Makefile").read_text())
    assert len(installs) == 2
    assert all("--require-hashes" in install for install in installs)


def test_no_address_of_an_index_is_in_a_file() -> None:
    for path in ROOT.glob("requirements*.txt"):
        assert "://" not in path.read_text(), path.name


def test_actions_are_named_by_commit() -> None:
    used = [
        line.split("uses:")[1].strip()
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
