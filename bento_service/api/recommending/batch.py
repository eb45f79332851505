"""Several recommendations in one request."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.api.recommending.recommendations import caller_of
from bento_service.dependencies import WithServices
from bento_service.http.errors import answer_to, invalid_fields, problems_of
from bento_service.http.json_body import json_body, read_body
from bento_service.recommending.answering import Answering, Caller
from bento_service.schemas.decisions import BatchAnswer, BatchRequest
from bento_service.schemas.recommendations import RecommendationRequest
from resources.base.errors import RecsaasError, TooLarge

router = APIRouter(tags=["recommendations"])
Reader = Annotated[Principal, Depends(require("recommendations:read"))]
MAX_ANSWER_CHARACTERS = 16 * 1024 * 1024
"""Of the results of a batch: with texts of usual lengths a full one has a tenth of it."""
_EXAMPLE = {"for two users": {"requests": [{"user_id": "u1", "count": 5}, {"user_id": "u2", "count": 5}]}}


@router.post(
    "/api/v1/recommendations/batch",
    response_model=BatchAnswer,
    summary="Recommend items, several times",
    openapi_extra=json_body(BatchRequest, _EXAMPLE),
)
async def batch(request: Request, principal: Reader, services: WithServices) -> Response:
    """Answer up to 100 requests, each for itself: one that cannot be answered has its error in its place.

    Each counts as a request against the limits of requests per second. When the answers have 16 MiB together, those
    that would follow are refused.
    """
    sent = await read_body(request, BatchRequest, services.bodies)
    caller = caller_of(request, principal)
    request.scope["state"]["calls"] = len(sent.requests)  # each is metered as a call
    if len(sent.requests) > 1:  # the first one was counted with the request
        method, path = request.scope["method"], request.scope["route"].path_format
        await services.plans.count_call(request.scope["state"], method, path, len(sent.requests) - 1)
    results: list[str] = []
    size = 0
    for place, body in enumerate(sent.requests):
        if place:
            await services.turns.take(caller.tenant.value)  # a batch lets other requests in between
        try:
            if place:  # the first one was counted when the batch came in
                await services.limits.count(request.scope["state"], 1)
            if size > MAX_ANSWER_CHARACTERS:
                raise TooLarge("The answers before this one fill the batch. Send this request in another batch.")
            results.append(await _answered(principal, caller, services.answering, body))
        except RecsaasError as error:
            results.append(_refused(error, caller.request_id))
        size += len(results[-1])
    return Response(f'{{"results":[{",".join(results)}]}}', media_type="application/json")


async def _answered(principal: Principal, caller: Caller, answering: Answering, body: dict[str, Any]) -> str:
    try:
        request = RecommendationRequest.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid_fields(problems_of(found, sent=body)) from None
    principal.check_tenant(request.tenant_id)
    answer = await answering.recommend(replace(caller, started=perf_counter()), request)
    return f'{{"status":200,"answer":{answer.decode()},"error":null}}'


def _refused(error: RecsaasError, request_id: str) -> str:
    alone = answer_to(error, request_id)
    return f'{{"status":{alone.status_code},"answer":null,{bytes(alone.body).decode()[1:]}'
