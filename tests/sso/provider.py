"""An OpenID provider that does wrong on demand, over real HTTP: what a right one never sends has to be refused, too."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeyParameters, OctKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "recsaas test", "s:cret/+"
TOLD = {"sub": "p-1", "email": "jane@example.com", "email_verified": True, "name": "Jane", "groups": ["help"]}


@dataclass
class Provider:
    """What it says, and how often it was asked.

    Attributes:
        told: claims of whoever logs in; `wrong`: claims of the token that replace the right ones, None: left out.
        with_kid: whether keys and tokens name the key.
        in_userinfo: claims of the person come from userinfo alone.
        algorithm: what tokens are signed by; `HS256` takes the public key for a secret, `none` signs nothing.
    """

    address: str = ""
    now: float = 0.0
    told: dict[str, Any] = field(default_factory=lambda: dict(TOLD))
    wrong: dict[str, Any] = field(default_factory=dict)
    issuer: str | None = None
    with_kid: bool = True
    in_userinfo: bool = False
    algorithm: str = "RS256"
    key_number: int = 1
    broken: int = 0
    asked: list[str] = field(default_factory=list)
    codes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    keys: dict[int, RSAKey] = field(default_factory=dict)

    def log_in(self, address: str) -> dict[str, str]:
        """Be the person at the provider: return the query that the browser is sent back with."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["code_challenge_method"] == "S256" and query["response_type"] == "code"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"]}

    def key(self) -> RSAKey:
        if self.key_number not in self.keys:
            parameters: KeyParameters = {"kid": f"k{self.key_number}"} if self.with_kid else {}
            self.keys[self.key_number] = RSAKey.generate_key(2048, parameters=parameters, auto_kid=False)
        return self.keys[self.key_number]

    def answer(self, path: str, form: Mapping[str, str], login: str) -> tuple[int, Any]:
        self.asked.append(path)
        if self.broken:
            return self.broken, {"error": "server_error"}
        if path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/keys"}
            found = {name: f"{self.address}{end}" for name, end in ends.items()}
            return 200, {**found, "issuer": self.issuer or self.address, "userinfo_endpoint": f"{self.address}/me"}
        if path == "/keys":
            return 200, {"keys": [self.key().as_dict(private=False)]}
        if path == "/me":
            return 200, self.told
        return self._token(form, login)

    def _token(self, form: Mapping[str, str], login: str) -> tuple[int, Any]:
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        right = base64.b64encode(b"recsaas%20test:s%3Acret%2F%2B").decode()
        if asked is None or asked["code_challenge"] != challenge or login != f"Basic {right}":
            return 400, {"error": "invalid_grant"}
        if asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": self.address,
            "aud": CLIENT_ID,
            "iat": int(self.now),
            "exp": int(self.now) + 300,
            "nonce": asked["nonce"],
            **({"sub": self.told["sub"]} if self.in_userinfo else self.told),
            **self.wrong,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self._signed(claims)}

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": self.algorithm, **({"kid": f"k{self.key_number}"} if self.with_kid else {})}
        if self.algorithm == "none":
            parts = (json.dumps(part).encode() for part in (header, claims))
            return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."
        if self.algorithm == "HS256":
            public = self.key().as_pem(private=False)
            secret = OctKey.import_key(base64.urlsafe_b64encode(public).rstrip(b"=").decode())
            return jwt.encode(header, claims, secret, algorithms=["HS256"])
        return jwt.encode(header, claims, self.key(), algorithms=[self.algorithm])


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Serve a provider on a free port of this machine."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._send({name: values[0] for name, values in parse_qs(body).items()})

        def _send(self, form: Mapping[str, str]) -> None:
            status, found = provider.answer(urlsplit(self.path).path, form, self.headers.get("Authorization", ""))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
