"""What surrounds the check of a password: a thread of the few for it, and an answer held back when it is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.requests import Request

from bento_service.http.client_address import ClientAddress
from bento_service.scheduling.threads import Lane
from resources.base.errors import LoginRefused
from resources.sessions.refresh_tokens import LoginClient

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def with_password(
    lane: Lane, address: str, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
) -> Result:
    """Call a function that computes hashes of passwords; those of one address take turns with those of others.

    Raises:
        LoginRefused: after a wait that grows with the failures; no thread waits meanwhile.
        Busy: too many wait for a thread.
    """
    try:
        return await lane.run(address, function, *args, **kwargs)
    except LoginRefused as error:
        await asyncio.sleep(error.wait_seconds)
        raise


def client_of(request: Request, addresses: ClientAddress) -> LoginClient:
    """Return where a request comes from, as sessions and the audit log note it."""
    return LoginClient(
        address=addresses.of(request.scope),
        browser=request.headers.get("user-agent", "")[:255],
        request_id=request.scope["state"]["request_id"],
    )
