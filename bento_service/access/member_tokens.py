"""Access tokens that were valid moments ago, and what their bearers may do."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.http.errors import Busy
from bento_service.scheduling.threads import Lane
from resources.base.errors import Unauthenticated
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.sessions.access_tokens import checked_claims, has_run_out, key_id_of, not_valid
from resources.sessions.signing_keys import SigningKeys
from resources.sessions.standing import Standing, standing_of

TOKEN_TTL_SECONDS = 3.0
"""How long a token is believed without asking the control DB: who is suspended, removed or lowered is so within 5 s."""
_LOOK_AGAIN_SECONDS = 2.0
"""From when on a token in use is looked up again beside the answers, as keys are."""
_MAX_TOKENS = 10_000
_log = structlog.get_logger("recsaas.auth")


class MemberTokens:
    """Tokens that were valid moments ago. Only their hashes are held, and no invalid ones, so guessing fills nothing.

    A token that is held costs a SHA-256; the signature, which takes ten times as long, is checked when it is looked up.
    """

    def __init__(
        self,
        db: ControlDb,
        lane: Lane,
        keys: SigningKeys,
        now: Clock,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._db = db
        self._lane = lane
        self._keys = keys
        self._now = now
        self._clock = clock
        self._tokens: OrderedDict[bytes, tuple[float, Standing]] = OrderedDict()  # as `KeyCache` has them
        self._lock = Lock()
        self._looking: dict[bytes, asyncio.Task[None]] = {}

    def fresh(self, token: str) -> Standing | None:
        """Return what the bearer of a token might do at most `TOKEN_TTL_SECONDS` ago, without asking.

        Raises:
            Unauthenticated: it has run out.
        """
        hashed = _hashed(token)
        found = self._tokens.get(hashed)
        if found is None:
            return None
        age = self._clock() - found[0]
        if age >= TOKEN_TTL_SECONDS:
            return None
        if found[1].expires_at <= self._now().timestamp():
            raise has_run_out()
        if age >= _LOOK_AGAIN_SECONDS and hashed not in self._looking:
            self._looking[hashed] = asyncio.create_task(self._look_again(hashed, token))
        return found[1]

    def knows(self, token: str) -> bool:
        """Tell whether the token was valid when it was last looked up, however long ago."""
        return _hashed(token) in self._tokens

    async def find(self, token: str, *, asked_by: str = "") -> Standing:
        """Return what the bearer of a token may do; look-ups of different addresses take turns.

        Raises:
            Unauthenticated: the token is not ours, has run out, or has ended.
            Busy: too many look-ups wait.
        """
        found = self.fresh(token)
        return found if found is not None else await self._lane.run(asked_by, self.look_up, token)

    async def _look_again(self, hashed: bytes, token: str) -> None:
        try:
            await self._lane.run("", self.look_up, token)
        except Unauthenticated:
            pass  # it is forgotten, and whoever asks next is told
        except (SQLAlchemyError, Busy) as error:  # it is believed until its time is over; then whoever asks is told
            _log.warning("token_not_looked_up", kind=type(error).__name__)
        finally:
            del self._looking[hashed]

    def look_up(self, token: str) -> Standing:
        """Check the token, ask the control DB what its bearer may do now, and remember that.

        Raises:
            Unauthenticated: the token is not ours, has run out, or has ended.
        """
        asked_at, hashed = self._clock(), _hashed(token)
        try:
            found = self._asked(token)
            if found is None:
                raise not_valid()
        except Unauthenticated:  # a database that does not answer says nothing of the token
            with self._lock:
                self._tokens.pop(hashed, None)
            raise
        with self._lock:
            self._tokens.pop(hashed, None)
            self._tokens[hashed] = (asked_at, found)
            while len(self._tokens) > _MAX_TOKENS:
                self._tokens.popitem(last=False)
        return found

    def _asked(self, token: str) -> Standing | None:
        now, kid = self._now(), key_id_of(token)
        # What is signed by a key that we know of is checked before the control DB is asked; a key may also be new.
        claims = None if self._keys.find(kid) is None else checked_claims(token, self._keys.find, now=now)
        with self._db.read() as session:
            self._keys.refresh(session)
            if claims is None or self._keys.find(kid) is None:  # the second: it was removed meanwhile
                claims = checked_claims(token, self._keys.find, now=now)
            return standing_of(session, claims, now=now)


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
