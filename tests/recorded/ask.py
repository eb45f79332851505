"""Asks the recorded questions: over HTTP, as a client of BentoML's own endpoints, by command, and as an export does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
from click.testing import CliRunner
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bento_service.bentoml_adapter.adapter import forwarded
from recsaas_assets.cli import cli
from resources.base.errors import RecsaasError
from resources.base.tenant import TenantId
from resources.ranker.live import live_ranker
from resources.ranker.ranking import Ranking
from resources.recommendations.batch import ListsOfAll, recommend_all
from resources.recommendations.offline import offline_answers
from tests.recorded.release import NOW
from tests.recorded.site import Site

Question = dict[str, Any]
"""`by`: whose credential; `do`: what is asked; `body`. In both texts `{id:7}` and `{cursor:7}` stand for the
`recommendation_id` and the `next_cursor` that question 7 was answered with, counted from 0."""
DECIMALS = 8
_NATIVE = {"recommend": "/api/v1/recommendations", "similar": "/api/v1/recommendations/similar"}
_REFERENCE = re.compile(r"\{(id|cursor):(\d+)\}")
SCORE = re.compile(r'("(?:score|similarity_score)": ?)(-?[0-9.e-]+)')
"""What comes before a score in an answer, and the score."""
_STRIPPED = (
    (re.compile(r'"(recommendation_id|request_id)":"[^"]*"'), r'"\1":"*"'),
    (re.compile(r'"interaction_id":"[0-9a-f]{32}"'), '"interaction_id":"*"'),
    (re.compile(r'"latency_ms":[0-9.]+'), '"latency_ms":0'),
)


class Asking:
    """Asks one question after the other; what a question refers to was answered before it.

    Args:
        exact: leave scores and cursors as they are, to compare two versions of the code on one machine; otherwise
            scores are rounded to `DECIMALS`, and a cursor, which holds the score of an item, only says that it is one.
    """

    def __init__(self, site: Site, *, exact: bool = False) -> None:
        self._site = site
        self._exact = exact
        self._given: list[dict[str, Any]] = []

    def answers(self, questions: Sequence[Question]) -> Iterator[str]:
        """Yield what each question is answered with, without what is random or of the clock."""
        with _native_client(self._site) as native:
            for question in questions:
                yield self._answer(question, native)

    def _answer(self, question: Question, native: Callable[..., httpx.Response]) -> str:
        by, do = question["by"], self._filled(question["do"])
        body: Any = json.loads(self._filled(json.dumps(question.get("body"))))
        way, _, rest = do.partition(" ")
        if way == "NATIVE":
            answer = native(rest, body, self._site.keys[by] if by else None)
            text = f"{answer.status_code} {answer.text}"
        elif way == "OFFLINE":
            try:
                text = _offline(self._site, TenantId(by), rest, **body)
            except RecsaasError as error:
                text = f"{error.code}: {error.message}"
        elif way == "CLI":
            text = _command(rest, by, *body)
        else:
            status, said = self._site.send(by, do, body)
            text = f"{status} {said}"
            self._remember(said)
            return self._stripped(text)
        self._remember("")
        return self._stripped(text)

    def _filled(self, text: str) -> str:
        return _REFERENCE.sub(lambda found: self._given[int(found[2])][found[1]], text)

    def _remember(self, said: str) -> None:
        given = json.loads(said) if said.startswith("{") else {}
        self._given.append({"id": given.get("recommendation_id") or "none", "cursor": given.get("next_cursor") or ""})

    def _stripped(self, text: str) -> str:
        for random, name in self._site.rules.items():
            text = text.replace(random, name)
        return stripped(text, exact=self._exact)


def stripped(text: str, *, exact: bool = False) -> str:
    """Return an answer without what is random or of the clock; unless `exact`, scores rounded and without cursors."""
    for pattern, replacement in _STRIPPED:
        text = pattern.sub(replacement, text)
    if exact:
        return text
    text = re.sub(r'"next_cursor":"[^"]*"', '"next_cursor":"*"', text)
    return SCORE.sub(lambda found: f"{found[1]}{round(float(found[2]), DECIMALS)!r}", text)


@contextmanager
def _native_client(site: Site) -> Iterator[Callable[..., httpx.Response]]:
    """What BentoML's endpoints do with a request, without a BentoML server around them."""

    async def endpoints(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await forwarded(site.app, Request(scope, receive), _NATIVE[scope["path"].strip("/")])
        await answer(scope, receive, send)

    client = httpx.AsyncClient(transport=httpx.ASGITransport(endpoints), base_url="http://bentoml")

    def call(endpoint: str, body: dict[str, Any], key: str | None) -> httpx.Response:
        """Send the key in the body, as clients do that cannot send a header."""
        sent = body if key is None else {**body, "api_key": key}
        answer: httpx.Response = site.client.run(partial(client.post, f"/{endpoint}", json=sent))
        return answer

    yield call
    site.client.run(client.aclose)


def _command(name: str, tenant: str, *arguments: str) -> str:
    result = CliRunner().invoke(cli, [name, tenant, *arguments, "--json"])
    said = " ".join(line.strip() for line in result.stdout.splitlines())
    return f"{result.exit_code} {said}"


def _offline(site: Site, tenant: TenantId, what: str, **asked: Any) -> str:
    """Answer as exports, packages and commands do; `what` is recommend, similar or all."""
    ranker = live_ranker(site.lake, tenant)
    scenario = asked.pop("scenario", None)
    if what == "all":
        blocks = recommend_all(site.db, tenant, ranker, ListsOfAll(asked.pop("k"), scenario, **asked), now=NOW)
        return json.dumps([row for block in blocks for row in block.to_dicts()], ensure_ascii=False)
    with offline_answers(site.db, tenant, ranker, now=NOW, scenario=scenario) as answers:
        return _shown(answers.recommend(**asked) if what == "recommend" else answers.similar(**asked))


def _shown(ranking: Ranking) -> str:
    names = ("item_id", "score", "rank", "source", "reason", "title", "category", "price")
    items = [{name: getattr(item, name) for name in names} for item in ranking.items]
    said = {"items": items, "algorithm": ranking.algorithm, "degraded": ranking.degraded}
    return json.dumps({**said, "fallback_reason": ranking.fallback_reason}, ensure_ascii=False)
