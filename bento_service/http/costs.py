"""What a request counts for against the limits of requests a second.

The unit is about a millisecond of a processor, which is more than a recommendation takes; `docs/serving.md` has the
measurement. What few threads or places for uploads bound already counts less than it takes. A route that is not named
here counts 1, and so does a cached answer: whether there is one is only known afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

COSTS: Mapping[tuple[str, str], int] = {
    ("POST", "/api/v1/interactions"): 3,
    ("POST", "/events"): 3,
    ("GET", "/api/v1/recommendations/why-not"): 20,
    ("GET", "/api/v1/recommendations/{recommendation_id}/receipt"): 3,
    ("POST", "/api/v1/recommendations/exports"): 10,
    ("GET", "/api/v1/items"): 10,
    ("GET", "/api/v1/items/{item_id}"): 5,
    ("POST", "/api/v1/items"): 10,
    ("PATCH", "/api/v1/items/{item_id}"): 10,
    ("DELETE", "/api/v1/items/{item_id}"): 10,
    ("POST", "/api/v1/upload/{kind}"): 10,
    ("POST", "/api/v1/mappings/{kind}/propose"): 10,
    ("GET", "/api/v1/uploads/{upload_id}/rejected"): 10,
    ("GET", "/api/v1/uploads/{upload_id}/trace"): 10,
    ("GET", "/api/v1/data-quality"): 20,
    ("GET", "/api/v1/readiness"): 30,
    ("GET", "/metrics"): 5,
    ("POST", "/api/v1/auth/signup"): 20,
    ("POST", "/api/v1/auth/login"): 10,
    ("POST", "/api/v1/auth/refresh"): 3,
    ("POST", "/api/v1/auth/password/change"): 20,
    ("GET", "/api/v1/users/{user_id}/export"): 20,
    ("DELETE", "/api/v1/users/{user_id}"): 20,
}
"""By method and path, as routes are named in the metrics."""
BODY_BYTES = 1024
"""So many bytes of a JSON body count 1 more: a thousand events in a request are some 70 ms of work."""


def cost_of(method: str, path: str) -> int:
    """Return what a request to a route counts, without its body."""
    return COSTS.get((method, path), 1)
