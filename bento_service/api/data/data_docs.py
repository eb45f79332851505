"""The documentation of the models: tables, columns and lineage, the same for every tenant and without any data."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import FileResponse

from bento_service.dependencies import WithServices
from bento_service.http.page_headers import DATA_DOCS
from resources.base.errors import NotReady

router = APIRouter(include_in_schema=False)
_HEADERS = {**DATA_DOCS, "Cache-Control": "public, max-age=300"}


@router.get("/data-docs")
def data_docs(services: WithServices) -> FileResponse:
    """Show the page that `recsaas docs` wrote."""
    page = services.settings.data_docs
    if not page.is_file():
        raise NotReady("The documentation of the models is not there yet. Write it with `recsaas docs`, then reload.")
    return FileResponse(page, media_type="text/html", headers=_HEADERS)
