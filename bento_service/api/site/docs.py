"""The try-it page. It is our own and loads nothing from elsewhere, so it works without the Internet."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from bento_service.http.page_headers import of_page

router = APIRouter(include_in_schema=False)
_STATIC = Path(__file__).parents[2] / "static"


@router.get("/docs")
def docs() -> FileResponse:
    """Show every route, and try it."""
    page = _STATIC / "docs.html"
    return FileResponse(page, media_type="text/html", headers=of_page(page))


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Describe every route."""
    return Response(request.app.state.openapi_json(), media_type="application/json")


@router.get("/")
def root() -> RedirectResponse:
    """Lead to the try-it page."""
    return RedirectResponse("/docs")
