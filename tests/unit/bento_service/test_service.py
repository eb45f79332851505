"""What the service does around its app."""

from __future__ import annotations

from bento_service.service import import_parts


def test_every_module_that_workers_share_is_there() -> None:
    """A name that is gone keeps every worker from starting."""
    import_parts()
