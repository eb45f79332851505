"""Keys and tenants that are stopped by command stop on both of two real workers.

That it takes at most five seconds is shown by tests/unit/bento_service/test_auth.py, with a clock of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from click.testing import CliRunner

from recsaas_assets.benchmarks.serving.serve_process import Served, service
from recsaas_assets.benchmarks.workplace import Workplace
from recsaas_assets.commands.tenants.tenant import tenant
from resources.base.settings import Settings
from resources.control_db.api_keys import list_api_keys
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import Shop, open_shop

pytestmark = pytest.mark.e2e
DEADLINE_SECONDS = 120
REQUESTS = 40
"""Each on a connection of its own, so that both workers get some."""


@dataclass(frozen=True)
class Running:
    """Two workers, and two shops of which one is stopped."""

    server: Served
    place: Workplace
    blue: Shop
    green: Shop

    def statuses(self, shop: Shop) -> set[int]:
        """Ask often, by our route and by BentoML's own, and return how that was answered."""
        found = set()
        for number in range(REQUESTS):
            path = "/recommend" if number % 2 else "/api/v1/recommendations"
            answer = httpx.post(self.server.url + path, json={"user_id": "u1"}, headers=shop.headers, timeout=30)
            found.add(answer.status_code)
        return found

    def await_statuses(self, shop: Shop, expected: set[int]) -> None:
        """Ask until every answer of every worker has such a status."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (found := self.statuses(shop)) != expected:
            assert time.monotonic() < deadline, found

    def command(self, *arguments: str) -> None:
        """Call `recsaas tenant`."""
        done = CliRunner(env=self.place.environment).invoke(tenant, arguments)
        assert done.exit_code == 0, done.output

    def stopped(self, shop: Shop) -> int:
        """How many workers have said in the log that they take a key of the tenant no more."""
        lines = self.server.log.read_text().splitlines()
        return sum("key_stopped" in line and f'"tenant": "{shop.tenant}"' in line for line in lines)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = Settings(home=tmp_path_factory.mktemp("stopping"))
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    blue, green = (open_shop(name, lake=lake, db=db, prefix=name[0]) for name in ("blue", "green"))
    blue.release()
    green.release()
    place = Workplace(settings, lake, db)
    with service(place, workers=2) as server:
        yield Running(server, place, blue, green)
    db.close()


def test_a_suspended_tenant_and_a_revoked_key_stop_on_every_worker(running: Running) -> None:
    assert running.statuses(running.blue) == {200}
    for command, expected in (("suspend", {403}), ("resume", {200})):
        running.command(command, "blue", "--yes")
        running.await_statuses(running.blue, expected)
        assert running.statuses(running.green) == {200}
    assert running.stopped(running.blue) >= 1
    (key,) = list_api_keys(running.place.db, running.blue.tenant)
    running.command("key", "revoke", "blue", key.id, "--yes")
    running.await_statuses(running.blue, {401})
    assert running.statuses(running.green) == {200}
    assert running.stopped(running.blue) >= 2
    assert running.stopped(running.green) == 0
