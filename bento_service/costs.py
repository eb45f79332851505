"""What a request counts for against the limits of requests a second.

The unit is a recommendation that is made anew, about a millisecond of a processor; docs/serving.md has the measurement.
A route that is not named here counts 1: so do cached answers, because whether there is one is only known afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

COSTS: Mapping[tuple[str, str], int] = {
    ("GET", "/api/v1/recommendations/why-not"): 10,
    ("GET", "/api/v1/recommendations/{recommendation_id}/receipt"): 3,
    ("GET", "/api/v1/items"): 8,
    ("GET", "/api/v1/items/{item_id:path}"): 4,
    ("POST", "/api/v1/items"): 5,
    ("PATCH", "/api/v1/items/{item_id:path}"): 10,
    ("DELETE", "/api/v1/items/{item_id:path}"): 8,
    ("POST", "/api/v1/upload/{kind}"): 50,
    ("GET", "/api/v1/uploads/{upload_id}/rejected"): 10,
    ("GET", "/api/v1/uploads/{upload_id}/trace"): 10,
    ("GET", "/api/v1/data-quality"): 50,
    ("GET", "/api/v1/readiness"): 50,
    ("POST", "/api/v1/recommendations/exports"): 50,
    ("GET", "/api/v1/users/{user_id:path}/export"): 50,
    ("DELETE", "/api/v1/users/{user_id:path}"): 100,
}
"""By method and path; every body or page of a route counts the same."""
EVENTS_PER_UNIT = 20
"""So many events of a request count 1 more."""


def cost_of(method: str, path_format: str) -> int:
    """Return what a request to a route counts."""
    return COSTS.get((method, path_format), 1)
