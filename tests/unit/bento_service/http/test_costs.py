"""What requests count, and that routes which block do so in the threads meant for it."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from fastapi.routing import APIRoute

import bento_service
from bento_service import api
from bento_service.api.auth import bearer
from bento_service.http.costs import COSTS, cost_of
from bento_service.middleware import OPEN, OPEN_BELOW, WITH_KEY
from bento_service.middleware import needs_key as needs_key_by_path

# A file of a form is parsed as it comes in, upload by upload; the sender of webhooks has a loop of its own, whose
# threads no request shares; the others hold limiters of their own.
MAY_USE_THREADS = {
    "sender.py",
    "threads.py",
    "writer.py",
    "release_cache.py",
    "upload_slots.py",
    "multipart.py",
    "page.py",
}


def routes() -> list[APIRoute]:
    """Every route of the modules of the API, as `create_app` takes them in."""
    names = [found.name for found in walk_packages(api.__path__, "bento_service.api.") if not found.ispkg]
    routers = [module.router for module in map(import_module, names) if hasattr(module, "router")]
    found = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    assert len(found) > 40
    return found


def needs_key(route: APIRoute) -> bool:
    """Whether the route, or a dependency of it, reads the key."""
    waiting = [*route.dependant.dependencies]
    while waiting:
        each = waiting.pop()
        if each.call is bearer:
            return True
        waiting.extend(each.dependencies)
    return False


def test_every_cost_is_of_a_route() -> None:
    known = {(method, route.path_format) for route in routes() for method in route.methods}
    assert set(COSTS) <= known
    assert cost_of("GET", "/api/v1/items") > cost_of("POST", "/api/v1/recommendations") == 1
    assert all(cost > 1 for cost in COSTS.values())


def test_who_needs_a_key_is_told_by_the_path() -> None:
    by_path = {route.path: needs_key(route) for route in routes() if route.path != "/health"}
    wrong = [path for path, keyed in by_path.items() if keyed != needs_key_by_path(path)]
    assert not wrong, (
        f"routes with a key begin as bento_service.middleware says: {WITH_KEY}, without {OPEN} and {OPEN_BELOW}"
    )


def test_a_route_with_a_key_blocks_in_a_lane_of_its_own() -> None:
    blocking = [
        route.path for route in routes() if needs_key(route) and not inspect.iscoroutinefunction(route.endpoint)
    ]
    assert not blocking, "decorate the handler with bento_service.scheduling.threads.threaded, below the route"


def test_nothing_else_uses_the_threads_that_all_share() -> None:
    package = Path(bento_service.__file__).parent
    sources = [path for path in package.rglob("*.py") if "benchmarking" not in path.parts]  # measure, and serve nobody
    shared = [p.name for p in sources if "run_in_threadpool" in (text := p.read_text()) or "to_thread" in text]
    allowed = MAY_USE_THREADS | {"service.py"}  # its end, when no requests come any more
    assert set(shared) <= allowed, "call services.threads.<lane>.run(tenant, function, …) instead"
