"""An erasure that is killed again and again, each time before another change of a file, still comes to its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resources.databases.opening import url_of
from resources.jobs.kinds.erasures import list_erasures
from resources.release.load import load_release
from tests.unit.resources.erasure.world import ZOE, World

pytestmark = pytest.mark.databases

# Each attempt is a process of its own that dies after a few changes; later ones may do more, because a step that is
# done again takes as many as before. It is forked, because starting Python for each would take a second; nothing that
# has threads runs before.
_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from resources.control_db.engine import open_control_db
from resources.jobs.kinds.erasures import pending_erasures
from resources.decisions.store import open_decisions
from resources.erasure.perform import perform_erasure
from resources.storage.lake import Lake

home, changes = Path(sys.argv[1]), 0

def die(event, args):
    global changes
    if event in ("os.rename", "os.remove", "os.rmdir"):
        changes += 1
        if changes > allowed:
            os.kill(os.getpid(), signal.SIGKILL)

def attempt():
    global allowed
    db = open_control_db(sys.argv[2], migrate=False)
    (erasure,) = pending_erasures(db)
    lake = Lake.open(str(home / "lake"), scratch=home / "scratch")
    sys.addaudithook(die)
    decisions = open_decisions(sys.argv[3])
    perform_erasure(lake, db, decisions, erasure, datetime.now(UTC), home=home)
    allowed = sys.maxsize  # what follows is not its own: a measured process writes down what it ran

for attempts in range(1, 100):
    allowed = attempts // 3 + 1
    if (child := os.fork()) == 0:
        attempt()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
print(attempts)
"""


@pytest.mark.e2e
def test_killed_again_and_again(world: World, tmp_path: Path) -> None:
    world.fill(ZOE)
    live = world.store.current()
    assert live is not None
    before = {v.version[:8] for v in world.store.list()}
    world.request(ZOE)
    places = (str(tmp_path), url_of(world.db.engine), world.decisions_url)
    command = [sys.executable, "-W", "ignore", "-c", _KILLED, *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15, "it was killed that often"
    assert world.places_with(ZOE) == []
    (erasure,) = list_erasures(world.db, world.tenant)
    assert erasure.certificate is not None
    found = {finding["place"]: finding["rows"] for finding in erasure.certificate["found"]}
    assert json.dumps(erasure.certificate).count("replaced by") == 2
    assert {place.split("/")[0]: rows for place, rows in found.items() if rows} == {
        "control DB: events": 2,
        "decision log": 1,
        "dbt": 2,
        "events": 1,
        "model": 1,
        "raw": 2,
        "releases": 1,
        "training": 1,
        "uploads": found[max(place for place in found if place.startswith("uploads"))],
    }
    current = world.store.current()
    assert current is not None and current != live
    assert list(load_release(world.store.directory(current)).user_rows) == ["ann"]
    assert {v.version[:8] for v in world.store.list()} == before
    assert all(summary.problem is None for summary in world.store.list())
