"""The operations that calls are counted by: routes, grouped by their subject."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

OTHER = "other"
_API = "/api/v1/"
_OPERATIONS: Mapping[tuple[str, str], str] = {
    ("POST", "/api/v1/recommendations"): "recommend",
    ("GET", "/recommend/{user_id}"): "recommend",
    ("POST", "/api/v1/recommendations/similar"): "similar",
    ("POST", "/api/v1/recommendations/bundle"): "bundle",
    ("POST", "/api/v1/recommendations/batch"): "recommend",
    ("GET", "/api/v1/recommendations/why-not"): "why-not",
    ("GET", "/api/v1/recommendations/{recommendation_id}/receipt"): "receipts",
    ("POST", "/api/v1/interactions"): "events",
    ("POST", "/events"): "events",
    ("GET", "/api/v1/data-quality"): "analytics",
    ("GET", "/api/v1/readiness"): "analytics",
}
_SUBJECTS: Mapping[str, str] = {
    "recommendations": "exports",
    "interactions": "events",
    "upload": "uploads",
    "train": "training",
    "reindex": "training",
    "models": "training",
}
_LONGEST = 40


@cache
def operation_of(method: str, route: str) -> str:
    """Return the operation of a route, by its template: one that is named here, or the subject in its address.

    There are as many as there are subjects in the API; no request can make a new one.
    """
    named = _OPERATIONS.get((method, route))
    if named is not None:
        return named
    if not route.startswith(_API):
        return OTHER
    subject = route.removeprefix(_API).split("/", 1)[0]
    return _SUBJECTS.get(subject, subject)[:_LONGEST]
