"""The script that shops put into their pages."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

router = APIRouter(include_in_schema=False)
_SCRIPT = Path(__file__).parents[2] / "static" / "recsaas.js"
# Any page may load it: there is nothing in it that is not public.
_HEADERS = {
    "Cache-Control": "public, max-age=3600",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@router.get("/static/recsaas.js")
def widget() -> FileResponse:
    """Show recommendations in a page, and track what is seen and clicked."""
    return FileResponse(_SCRIPT, media_type="text/javascript", headers=_HEADERS)
