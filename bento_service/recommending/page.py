"""Pages of a recommendation: the cursor names the items of the pages before, so no page repeats one.

The cursor holds everything it needs: it works on every worker and at any time, and no page waits for the decision log.
Items are row numbers of the release that they were shown from, so a cursor grows by a few characters an item. When
another release is live by now, that one ranks the next page, and the rows are looked up in the release they belong to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bento_service.http.errors import invalid_fields
from bento_service.http.pagination import decoded, encoded
from bento_service.schemas.recommendations import MAX_CURSOR, RecommendationRequest
from resources.base.errors import CorruptArtifact, FieldProblem, InvalidInput, ReleaseNotFound
from resources.base.tenant import TenantId
from resources.ranker.ranking import RankedItem, Ranking
from resources.release.contents import ITEMS
from resources.release.load import LoadedRelease
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake, read_parquet

MAX_DEPTH = 1_000
"""How many items all pages of one recommendation hold together."""
_CHECK_BYTES = 8
_FOREIGN = "is damaged, or belongs to another request: send the request of the page before, with its next_cursor"
_GONE = "is of a release that is not kept any more: leave it out to start again"
_ENDED = f"is past the last page: all pages together hold at most {MAX_DEPTH} items"


class _Cursor(BaseModel):
    """The contents of a cursor; short names because every answer carries one.

    Attributes:
        r: release that the rows are of.
        i: item rows that were shown.
        x: ids of items that were shown and are not in the release.
        s: score of the last item, above which later ones must not rise.
        a: whether seen items are shown, because there is no other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    r: str
    i: tuple[Annotated[int, Field(ge=0)], ...]
    x: tuple[str, ...] = ()
    s: Annotated[float, Field(ge=0, le=1)]
    a: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a recommendation: what was shown before it, and how to go on after it.

    Attributes:
        key: what the request asks for; a cursor fits no other.
        count: how many items the page holds at most.
        shown: ids of the items of the pages before.
        ceiling: score of the last of them.
        again: whether they had been seen by the user, because there was no other.
    """

    key: str
    count: int
    shown: tuple[str, ...] = ()
    ceiling: float = 1.0
    again: bool = False

    @property
    def fetched(self) -> int:
        """How many items to rank: one more than shown tells whether there is a next page."""
        return self.count + 1

    @property
    def place(self) -> tuple[float, int, bool]:
        """Return what the items of the page depend on besides the query."""
        return self.ceiling, len(self.shown), self.again

    def cut(self, ranking: Ranking) -> tuple[Ranking, bool]:
        """Return the page of a ranking of `fetched` items, and whether there is a next one.

        Ranks go on from the page before, and scores do not rise above its last one.
        """
        if ranking.fallback_reason == "all_seen" and self.shown and not self.again:
            return Ranking(items=(), algorithm=ranking.algorithm), False  # the unseen items have come to an end
        items, more = ranking.items[: self.count], len(ranking.items) > self.count
        if not self.shown:
            return (replace(ranking, items=items) if more else ranking), more
        return replace(ranking, items=tuple(self._moved(item) for item in items)), more

    def next_cursor(self, release: LoadedRelease, page: Ranking) -> str | None:
        """Return the cursor of the page after `page`, which `release` ranked; `None` if it is too deep or long."""
        shown = (*self.shown, *[item.item_id for item in page.items])
        if len(shown) >= MAX_DEPTH or not page.items:
            return None
        rows = [release.item_rows.get(item_id) for item_id in shown]
        fields: dict[str, object] = {"r": release.version, "i": rows, "s": page.items[-1].score}
        if None in rows:
            fields["i"] = [row for row in rows if row is not None]
            fields["x"] = [item_id for item_id, row in zip(shown, rows, strict=True) if row is None]
        if page.fallback_reason == "all_seen":
            fields["a"] = True
        body = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
        token = encoded(_check(body, self.key) + body)
        return token if len(token) <= MAX_CURSOR else None  # hundreds of long ids that the release does not know

    def _moved(self, item: RankedItem) -> RankedItem:
        return item._replace(rank=item.rank + len(self.shown), score=min(item.score, self.ceiling))


async def page_of(request: RecommendationRequest, tenant: TenantId, release: LoadedRelease, lake: Lake) -> Page:
    """Return the page that a request asks for; `release` is the live one.

    Raises:
        InvalidInput: the cursor is not one that can be followed.
        LakeUnavailable: the release of the page before cannot be looked up.
    """
    key = _request_key(request, tenant)
    if request.cursor is None:
        return Page(key, request.count)
    cursor = _read(request.cursor, key)
    if cursor.r == release.version:
        ids = _ids(cursor, release.catalogue.size, lambda row: release.catalogue.card(row).item_id)
    else:
        ids = await to_thread.run_sync(_ids_of_other_release, cursor, ReleaseStore(lake.tenant(tenant)))
    shown = (*ids, *cursor.x)
    if len(shown) >= MAX_DEPTH:
        raise _refused(_ENDED)
    return Page(key, min(request.count, MAX_DEPTH - len(shown)), shown, cursor.s, cursor.a)


def _request_key(request: RecommendationRequest, tenant: TenantId) -> str:
    """Return what must stay the same from page to page. How many, the reasons and what happened since may change."""
    how = (request.scenario, request.exclude_seen, request.diversity, request.max_per_category, request.strategy)
    filters = request.filters.model_dump_json(exclude_defaults=True) if request.filters.model_fields_set else ""
    return f"{(tenant.value, request.user_id, request.session_id)!r}{how!r}{filters}"


def _read(token: str, key: str) -> _Cursor:
    try:
        content = decoded(token)
    except ValueError:
        raise _refused(_FOREIGN) from None
    check, body = content[:_CHECK_BYTES], content[_CHECK_BYTES:]
    if check != _check(body, key):
        raise _refused(_FOREIGN)
    try:
        return _Cursor.model_validate_json(body)
    except ValidationError:  # of another version of the service
        raise _refused(_FOREIGN) from None


def _check(body: bytes, key: str) -> bytes:
    """Tie a cursor to its request. It is no secret: whoever makes one up only changes their own pages."""
    return hashlib.blake2b(body + key.encode(errors="surrogatepass"), digest_size=_CHECK_BYTES).digest()


def _ids_of_other_release(cursor: _Cursor, store: ReleaseStore) -> tuple[str, ...]:
    try:
        column = read_parquet(store.directory(cursor.r) / ITEMS)["item_id"]
    except (ReleaseNotFound, CorruptArtifact):
        raise _refused(_GONE) from None
    return _ids(cursor, len(column), lambda row: str(column[row]))


def _ids(cursor: _Cursor, size: int, name: Callable[[int], str]) -> tuple[str, ...]:
    if any(row >= size for row in cursor.i):
        raise _refused(_FOREIGN)
    return tuple(name(row) for row in cursor.i)


def _refused(problem: str) -> InvalidInput:
    return invalid_fields([FieldProblem("cursor", problem)])
