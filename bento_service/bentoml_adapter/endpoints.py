"""Bodies of what BentoML clients call, `recommend` and `similar`: described to the client, and read by our routes."""

from __future__ import annotations

from typing import Any

import bentoml
from pydantic import Field
from starlette.requests import Request

from bento_service.schemas.recommendations import RecommendationRequest, SimilarRequest

_KEY = "An API key of your tenant, for clients that cannot send the header `Authorization: Bearer …`."


class _LeftToTheRoute(bentoml.IODescriptor):  # type: ignore[misc]
    """Tells BentoML's clients what the body has, and leaves checking it to the route, which answers in our shape."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> _LeftToTheRoute:
        """Read nothing: the handler passes the request on as it is."""
        nothing: _LeftToTheRoute = cls.model_construct(**dict.fromkeys(cls.model_fields))
        return nothing


class RecommendInput(_LeftToTheRoute, RecommendationRequest):
    """The body of `POST /api/v1/recommendations`."""

    api_key: str | None = Field(default=None, description=_KEY)


class SimilarInput(_LeftToTheRoute, SimilarRequest):
    """The body of `POST /api/v1/recommendations/similar`."""

    api_key: str | None = Field(default=None, description=_KEY)
