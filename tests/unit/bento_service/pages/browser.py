"""A browser as pages see it: it keeps cookies, says where a request comes from, and does not follow redirects."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.unit.bento_service.client import Client

SITE = "http://127.0.0.1:8000"
PASSWORD = "four words that differ"


class Browser:
    """Visits pages of an app; `cookies` are those that it has, by name."""

    def __init__(self, client: Client, *, site: str = SITE, address: str = "") -> None:
        self.client = client
        self.site = site
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {"X-Forwarded-For": address} if address else {}

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._ask("GET", path, {"Sec-Fetch-Site": "none", **headers})

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        sent = {
            "Sec-Fetch-Site": "same-origin",
            "Origin": self.site,
            "Content-Type": "application/x-www-form-urlencoded",
            **headers,
        }
        return self._ask("POST", path, {k: v for k, v in sent.items() if v}, content=urlencode(fields or {}))

    def log_in(self, email: str, password: str = PASSWORD, *, page: str = "/login", **fields: str) -> httpx.Response:
        return self.post(page, {"email": email, "password": password, **fields})

    def _ask(self, method: str, path: str, headers: dict[str, str], **options: Any) -> httpx.Response:
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent = {**self.headers, **headers, **(cookies if self.cookies else {})}
        answer = self.client.request(method, f"{self.site}{path}", headers=sent, follow_redirects=False, **options)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer
