"""Logging in to the office by a real provider: `oidc-provider` of npm, which `make sso` puts in place."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from bento_service.app import create_app
from bento_service.sso.keys import FETCH_EVERY_SECONDS
from resources.access.actor import SYSTEM
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.people.invites import invite_to_office
from resources.storage.lake import Lake
from tests.unit.bento_service.client import client_of
from tests.unit.bento_service.pages.browser import Browser

pytestmark = pytest.mark.e2e


def utc_now() -> datetime:
    return datetime.now(UTC)


HERE = Path(__file__).parent
NODE = shutil.which("node")
SECRET = "a secret: with/signs"
BACK = "http://127.0.0.1:8000/office/login/sso/callback"


@pytest.fixture
def port() -> int:
    if NODE is None or not (HERE / "node_modules" / "oidc-provider").is_dir():
        pytest.skip("no provider: install Node 20 and run `make sso`")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def provider(port: int, kid: str) -> Iterator[None]:
    key = RSAKey.generate_key(2048, parameters={"kid": kid, "use": "sig", "alg": "RS256"}).as_dict(private=True)
    variables = {"PORT": str(port), "REDIRECT": BACK, "KEY": json.dumps(key), "CLIENT_SECRET": SECRET}
    process = subprocess.Popen(
        [str(NODE), "provider.mjs"],
        cwd=HERE,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("ready" in line for line in iter(process.stdout.readline, ""))
        yield
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def log_in_there(address: str) -> str:
    """Be a person at the provider's own pages; return where it sends the browser back to."""
    with httpx.Client(timeout=30) as http:
        for _ in range(20):
            answer = http.get(address)
            while answer.is_redirect:
                address = urljoin(str(answer.url), answer.headers["location"])
                if address.startswith(BACK):
                    return address
                answer = http.get(address)
            action = re.search(r'action="([^"]+)"', answer.text)
            assert action is not None, answer.text
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            fields = {"prompt": prompt[1] if prompt else "login", "login": "jane", "password": "any"}
            sent = http.post(urljoin(str(answer.url), action[1]), data=fields)
            address = urljoin(str(sent.url), sent.headers["location"])
    raise AssertionError("the provider never sent the person back")


def test_somebody_logs_in_and_again_after_the_keys_changed(port: int, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        oidc_issuer=f"http://127.0.0.1:{port}",
        oidc_client_id="recsaas",
        oidc_client_secret=SECRET,
        oidc_roles="help=support_agent",
        public_url="http://127.0.0.1:8000",
    )
    db = open_control_db(settings.database_url)
    app = create_app(settings, db, Lake.open(settings.lake_url, scratch=settings.scratch), utc_now)
    with db.write() as session:
        invite_to_office(session, "jane@example.com", "developer", by=SYSTEM, site_url=settings.site_url, now=utc_now())
    seconds = [1000.0]
    app.state.services.provider._keys._clock = lambda: seconds[0]
    with client_of(app) as client:
        browser = Browser(client)

        def log_in() -> httpx.Response:
            there = browser.get("/office/login/sso")
            assert there.status_code == 303, there.text
            return browser.get(f"/office/login/sso/callback?{urlsplit(log_in_there(there.headers['location'])).query}")

        with provider(port, "first"):
            answer = log_in()
            assert (answer.status_code, answer.headers.get("location")) == (303, "/office"), answer.text
            assert "support agent" in browser.get("/office").text
            replay = urlencode({"code": "used", "state": "used"})
            assert browser.get(f"/office/login/sso/callback?{replay}").status_code == 403
        assert browser.get("/office/login/sso").status_code == 303  # its description is known; nobody was asked
        with provider(port, "second"):
            seconds[0] += FETCH_EVERY_SECONDS
            assert log_in().status_code == 303
        app.state.services.provider._document = None
        assert browser.get("/office/login/sso").status_code == 503
    app.state.services.decisions.close()
    db.close()
