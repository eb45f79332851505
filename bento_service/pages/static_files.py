"""Files of the pages. Their address has a piece of their hash, so a browser keeps them until they change."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from resources.base.errors import NotFound

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).parents[1] / "static" / "pages"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}


@router.get("/static/pages/{name}")
async def static_file(name: str) -> Response:
    """A stylesheet or script of the pages."""
    found = _files().get(name)
    if found is None:
        raise NotFound("There is no such file.")
    return Response(found, media_type=_TYPES[Path(name).suffix], headers=_HEADERS)


def address_of(name: str) -> str:
    """Return the address of a file, which changes with what is in it."""
    return f"/static/pages/{name}?v={hashlib.sha256(_files()[name]).hexdigest()[:12]}"


@cache
def _files() -> dict[str, bytes]:
    """All of them, read once: a name of the address never reaches the disk."""
    return {file.name: file.read_bytes() for file in _FOLDER.iterdir() if file.suffix in _TYPES}
