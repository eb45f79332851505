"""Posting one webhook: the body, its signature, and what the endpoint says to it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from time import perf_counter
from urllib.parse import urlsplit, urlunsplit

import httpx

from bento_service.webhooks.addresses import resolved
from resources.base.errors import InvalidInput
from resources.webhooks.endpoints.deliveries import TRY_SECONDS, DueDelivery, Try
from resources.webhooks.signing import signed_headers

USER_AGENT = "recsaas-webhooks/1"
_PORTS = {"https": 443, "http": 80}


def body_of(due: DueDelivery) -> bytes:
    """The message: what has happened, when, to whom. Every try of it is the same."""
    message = {
        "type": due.type,
        "timestamp": due.announced_at.isoformat(),
        "tenant_id": due.tenant.value,
        "data": due.data,
    }
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


async def post(client: httpx.AsyncClient, due: DueDelivery, *, now: datetime, private: bool) -> Try:
    """Post a delivery, and return what came of it. An answer counts once its head is there; its body is not read."""
    started = perf_counter()
    try:
        async with asyncio.timeout(TRY_SECONDS):
            status = await _status(client, due, now=now, private=private)
        error = None if 200 <= status < 300 else f"The endpoint answered {status}."
    except TimeoutError:
        status, error = None, f"There was no answer within {TRY_SECONDS:g} s."
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        status, error = None, f"{type(failure).__name__}: {failure}"[:300]
    except InvalidInput as refused:
        status, error = None, refused.message
    return Try(status=status, error=error, milliseconds=round((perf_counter() - started) * 1000))


async def _status(client: httpx.AsyncClient, due: DueDelivery, *, now: datetime, private: bool) -> int:
    parts = urlsplit(due.url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not private:
        raise InvalidInput("The address must begin with https://.")
    address = await resolved(host, parts.port or _PORTS[parts.scheme], private=private)
    inside = f"[{address}]" if ":" in address else address
    # To the address that was looked at, whatever the name server says by then; TLS and the host see the name.
    url = urlunsplit(parts._replace(netloc=inside if parts.port is None else f"{inside}:{parts.port}"))
    body = body_of(due)
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        **signed_headers(due.event_id, body, due.secrets, now=now),
    }
    async with client.stream("POST", url, content=body, headers=headers, extensions={"sni_hostname": host}) as answer:
        return answer.status_code


def new_client() -> httpx.AsyncClient:
    """A client that follows no redirects, asks no proxy of the environment, and keeps no connection or cookie."""
    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(TRY_SECONDS),
        limits=httpx.Limits(max_keepalive_connections=0),
    )
