"""Secrets and people are planted through many routes of a real service, errors included; its log holds none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from resources.access.actor import SYSTEM
from resources.access.key_kinds import BROWSER_SCOPES, KeyTerms
from resources.control_db.api_keys import make_api_key
from tests.hostile.live import live_service
from tests.unit.bento_service.shop import NOW

pytestmark = pytest.mark.e2e

PASSWORD = "planted-pass-phrase-4711"
PERSON = "planted.person@example.com"
USER = "planted-user-4711"
METADATA = "planted-metadata-4711"
REFRESH = "planted-refresh-token-4711"
LINK = "planted-link-token-4711"
WRONG_KEY = "sk_live_planted-wrong-key-4711"
OF_MAIL = "planted-mail-pass-4711"
EVENT = {"user_id": USER, "item_id": "b1", "interaction_type": "view", "metadata": {"note": METADATA}}


def test_neither_secrets_nor_people_are_in_the_log(tmp_path: Path) -> None:
    with live_service(tmp_path, RECSAAS_LOG_LEVEL="DEBUG", RECSAAS_SMTP_URL=f"smtp://u:{OF_MAIL}@127.0.0.1:9") as live:
        terms = KeyTerms(name="web", scopes=BROWSER_SCOPES, kind="browser", origins=("https://shop.example.com",))
        page = str(make_api_key(live.blue.db, live.blue.tenant, terms, now=NOW, by=SYSTEM).secret)
        own, seen = {"Authorization": f"Bearer {live.blue.key}"}, set()
        secrets = [live.blue.key, page, PASSWORD, PERSON, USER, METADATA, REFRESH, LINK, WRONG_KEY, OF_MAIL]
        with httpx.Client(base_url=live.server.url, timeout=60) as http:

            def ask(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
                answer = http.request(method, path, json=body, headers=headers or {})
                seen.add(answer.status_code)
                assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text)
                return answer

            shop = {"name": "Planted", "slug": "planted"}
            signed = ask("POST", "/api/v1/auth/signup", {"email": PERSON, "password": PASSWORD, "tenant": shop})
            secrets += [signed.json()[name] for name in ("access_token", "refresh_token") if name in signed.json()]
            for password in (PASSWORD, f"{PASSWORD}-wrong"):
                told = ask("POST", "/api/v1/auth/login", {"email": PERSON, "password": password}).json()
                secrets += [told[name] for name in ("access_token", "refresh_token") if name in told]
            ask("POST", "/api/v1/auth/refresh", {"refresh_token": REFRESH})
            ask("POST", "/api/v1/auth/logout", {"refresh_token": REFRESH})
            ask("POST", "/api/v1/auth/password/forgot", {"email": PERSON})
            ask("POST", "/api/v1/auth/password/reset", {"token": LINK, "password": PASSWORD})
            ask("POST", f"/api/v1/{LINK}/{USER}", {"x": METADATA})
            ask("GET", "/api/v1/items", headers={"Authorization": f"Bearer {WRONG_KEY}"})
            ask("POST", "/events", EVENT, headers={"Authorization": f"Bearer {page}", "Origin": "https://evil.example"})
            ask("POST", "/events", EVENT, headers={"Authorization": f"Bearer {page}", "Origin": terms.origins[0]})
            for method, path, body in (
                ("POST", "/events", EVENT),
                ("POST", "/events", {**EVENT, "interaction_type": METADATA}),
                ("POST", "/events", {**EVENT, METADATA: USER}),
                ("POST", "/api/v1/recommendations", {"user_id": USER, "context": {"note": METADATA}}),
                ("GET", f"/recommend/{USER}?k=1", None),
                ("GET", f"/recommend/{USER}?{METADATA}=1", None),
                ("GET", f"/api/v1/users/{USER}/export", None),
                ("DELETE", f"/api/v1/users/{USER}", None),
                ("GET", f"/api/v1/recommendations/why-not?user_id={USER}&item_id=b1", None),
                ("POST", "/api/v1/invites", {"email": PERSON, "role": "viewer"}),
            ):
                ask(method, path, body, headers=own)
            made = ask("POST", "/api/v1/api-keys", {"name": "x", "scopes": ["items:write"]}, headers=own).json()
            turned = ask("POST", f"/api/v1/api-keys/{made['id']}/rotate", {"overlap_seconds": 0}, headers=own).json()
            secrets += [made["api_key"], turned["api_key"]]
            hook = ask("POST", "/api/v1/webhooks", {"url": f"https://example.com/{LINK}"}, headers=own).json()
            secrets.append(hook["secret"])
        log = live.server.log
    text = log.read_text(encoding="utf-8", errors="replace")
    assert {200, 401, 403, 404, 422} <= seen
    assert '"route": "/events"' in text and '"key_rotated"' in text  # it is the log of all this
    found = [secret for secret in secrets if secret in text]
    assert not found, [line for line in text.splitlines() if any(secret in line for secret in found)][:5]
