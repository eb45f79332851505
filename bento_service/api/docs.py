"""The try-it page. It is our own and loads nothing from elsewhere, so it works without the Internet."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, RedirectResponse, Response

router = APIRouter(include_in_schema=False)
_STATIC = Path(__file__).parent.parent / "static"


@router.get("/docs")
def docs() -> FileResponse:
    """Show every route, and try it."""
    return FileResponse(_STATIC / "docs.html", media_type="text/html")


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Describe every route for programs."""
    return Response(_openapi_json(request.app), media_type="application/json")


@router.get("/")
def root() -> RedirectResponse:
    """Lead to the try-it page."""
    return RedirectResponse("/docs")


@lru_cache(maxsize=1)
def _openapi_json(app: FastAPI) -> bytes:
    """Write the document once: it takes 2 ms, and anybody may ask for it."""
    return json.dumps(app.openapi(), ensure_ascii=False).encode()
