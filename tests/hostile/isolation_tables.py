"""Every route of the service, in the table of what another tenant may learn by it."""

from __future__ import annotations

from typing import Any

SECRET = "gsecret"
"""Stands in everything that green owns: ids, titles, notes, names of files."""
ITEMS = f"item_id,title\n{SECRET}-item,{SECRET} lamp\n{SECRET}-bad,\n"
EVENT = {"user_id": f"{SECRET}-user", "item_id": "g2", "interaction_type": "view", "session_id": f"{SECRET}-visit"}
NOT_FOUND = {
    ("GET", "/api/v1/uploads/{upload_id}"),
    ("DELETE", "/api/v1/uploads/{upload_id}"),
    ("GET", "/api/v1/uploads/{upload_id}/rejected"),
    ("GET", "/api/v1/uploads/{upload_id}/trace"),
    ("GET", "/api/v1/uploads/jobs/{job_id}"),
    ("GET", "/api/v1/items/{item_id}"),
    ("PATCH", "/api/v1/items/{item_id}"),
    ("DELETE", "/api/v1/items/{item_id}"),
    ("GET", "/api/v1/rules/{rule_id}"),
    ("PATCH", "/api/v1/rules/{rule_id}"),
    ("DELETE", "/api/v1/rules/{rule_id}"),
    ("GET", "/api/v1/shop/exports/{archive_id}"),
    ("GET", "/api/v1/shop/exports/{archive_id}/file"),
    ("GET", "/api/v1/recommendations/exports/{export_id}"),
    ("GET", "/api/v1/recommendations/exports/{export_id}/file"),
    ("DELETE", "/api/v1/recommendations/exports/{export_id}"),
    ("GET", "/api/v1/recommendations/{recommendation_id}/receipt"),
    ("GET", "/api/v1/training/{job_id}/progress"),
    ("DELETE", "/api/v1/training/{job_id}"),
    ("GET", "/api/v1/erasures/{erasure_id}"),
    ("PATCH", "/api/v1/api-keys/{key_id}"),
    ("POST", "/api/v1/api-keys/{key_id}/rotate"),
    ("DELETE", "/api/v1/api-keys/{key_id}"),
    ("DELETE", "/api/v1/invites/{invite_id}"),
    ("POST", "/api/v1/invites/{invite_id}/resend"),
    ("PATCH", "/api/v1/members/{member_id}"),
    ("DELETE", "/api/v1/members/{member_id}"),
    ("GET", "/api/v1/webhooks/{webhook_id}"),
    ("PATCH", "/api/v1/webhooks/{webhook_id}"),
    ("DELETE", "/api/v1/webhooks/{webhook_id}"),
    ("POST", "/api/v1/webhooks/{webhook_id}/rotate-secret"),
    ("POST", "/api/v1/webhooks/{webhook_id}/test"),
    ("GET", "/api/v1/webhooks/{webhook_id}/deliveries"),
    ("POST", "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry"),
}
"""Routes with an id that belongs to one tenant: another's is not found."""
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", "/api/v1/items/{item_id}"): {"title": "taken"},
    ("PATCH", "/api/v1/rules/{rule_id}"): {"note": "taken"},
    ("PATCH", "/api/v1/members/{member_id}"): {"role": "admin"},
    ("PATCH", "/api/v1/api-keys/{key_id}"): {"name": "taken"},
    ("POST", "/api/v1/api-keys/{key_id}/rotate"): {"overlap_seconds": 0},
    ("PATCH", "/api/v1/webhooks/{webhook_id}"): {"description": "taken"},
}
"""Bodies that would do something, were the id one's own."""
LISTS = {
    ("GET", "/api/v1/uploads"),
    ("GET", "/api/v1/items"),
    ("GET", "/api/v1/rules"),
    ("GET", "/api/v1/training"),
    ("GET", "/api/v1/recommendations/exports"),
    ("GET", "/api/v1/shop/exports"),
    ("GET", "/api/v1/data-quality"),
    ("GET", "/api/v1/readiness"),
    ("GET", "/api/v1/api-keys"),
    ("GET", "/api/v1/invites"),
    ("GET", "/api/v1/members"),
    ("GET", "/api/v1/admin/users"),
    ("GET", "/api/v1/webhooks"),
    ("GET", "/api/v1/usage"),
    ("GET", "/api/v1/invoices"),
    ("GET", "/api/v1/mappings/{kind}"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/audit/export"),
    ("GET", "/api/v1/audit/verify"),
    ("GET", "/api/v1/plan"),
}
"""Routes that show all that a tenant has of something."""
ANSWERS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/recommendations"): {"json": {"user_id": EVENT["user_id"], "count": 10}},
    ("POST", "/api/v1/recommendations/batch"): {"json": {"requests": [{"user_id": EVENT["user_id"]}]}},
    ("POST", "/api/v1/recommendations/similar"): {"json": {"item_id": f"{SECRET}-item", "count": 10}},
    ("POST", "/api/v1/recommendations/bundle"): {"json": {"item_ids": [f"{SECRET}-item"], "count": 10}},
    ("GET", "/recommend/{user_id}"): {},
    ("GET", "/api/v1/recommendations/why-not"): {"params": {"user_id": EVENT["user_id"], "item_id": f"{SECRET}-item"}},
    ("GET", "/api/v1/users/{user_id}/export"): {},
    ("GET", "/api/v1/invoices/{month}"): {},
    ("POST", "/recommend"): {"json": {"user_id": EVENT["user_id"]}},
    ("POST", "/similar"): {"json": {"item_id": f"{SECRET}-item"}},
}
"""Routes that answer for any id: what green's ids mean there is not looked at."""
WRITES = {
    ("POST", "/api/v1/interactions"),
    ("POST", "/events"),
    ("POST", "/api/v1/items"),
    ("POST", "/api/v1/rules"),
    ("POST", "/api/v1/upload/{kind}"),
    ("POST", "/api/v1/train"),
    ("POST", "/admin/train"),
    ("POST", "/api/v1/reindex"),
    ("POST", "/admin/reindex"),
    ("POST", "/api/v1/recommendations/exports"),
    ("POST", "/api/v1/shop/exports"),
    ("DELETE", "/api/v1/users/{user_id}"),
    ("POST", "/api/v1/api-keys"),
    ("POST", "/api/v1/invites"),
    ("POST", "/api/v1/admin/users"),
    ("PUT", "/api/v1/mappings/{kind}"),
    ("DELETE", "/api/v1/mappings/{kind}"),
    ("POST", "/api/v1/mappings/{kind}/propose"),
    ("POST", "/api/v1/webhooks"),
    ("POST", "/api/v1/plan/request"),
}
"""Routes that write into the credential's tenant: a `tenant_id` of another one is refused where a body has one."""
WITHOUT_TENANT_ID = {
    ("POST", "/api/v1/shop/exports"),
    ("POST", "/api/v1/upload/{kind}"),
    ("DELETE", "/api/v1/users/{user_id}"),
    ("DELETE", "/api/v1/mappings/{kind}"),
    ("POST", "/api/v1/mappings/{kind}/propose"),
}
FORBIDDEN = {
    ("GET", "/api/v1/admin/tenants/{tenant_id}/usage"),
    ("GET", "/api/v1/admin/tenants/{tenant_id}"),
    ("PATCH", "/api/v1/admin/tenants/{tenant_id}"),
    ("DELETE", "/api/v1/admin/tenants/{tenant_id}"),
    ("GET", "/api/v1/admin/tenants/{tenant_id}/summary"),
    ("GET", "/api/v1/admin/tenants/{tenant_id}/certificate"),
    ("POST", "/api/v1/admin/tenants/{tenant_id}/exports"),
    ("GET", "/api/v1/admin/tenants/{tenant_id}/exports/{archive_id}"),
    ("GET", "/api/v1/admin/tenants/{tenant_id}/exports/{archive_id}/file"),
    ("POST", "/api/v1/admin/tenants/{tenant_id}/suspend"),
    ("POST", "/api/v1/admin/tenants/{tenant_id}/resume"),
    ("GET", "/api/v1/admin/tenants/{tenant_id}/plan"),
    ("PUT", "/api/v1/admin/tenants/{tenant_id}/plan"),
    ("DELETE", "/api/v1/admin/tenants/{tenant_id}/plan"),
    ("GET", "/api/v1/admin/tenants/{tenant_id}/quotas"),
    ("PUT", "/api/v1/admin/tenants/{tenant_id}/quotas/{meter}"),
    ("DELETE", "/api/v1/admin/tenants/{tenant_id}/quotas/{meter}"),
}
"""Routes that name a tenant: no key of a tenant reaches another one, or learns whether there is one."""
OF_PEOPLE = {
    ("POST", "/api/v1/auth/password/change"),
    ("GET", "/api/v1/auth/me"),
    ("GET", "/api/v1/me"),
    ("PATCH", "/api/v1/me"),
    ("GET", "/api/v1/me/sessions"),
    ("DELETE", "/api/v1/me/sessions/{session_id}"),
}
"""Routes about the person who asks: no key is one, and nobody sees another person."""
FOR_NO_KEY = {
    ("GET", "/api/v1/admin/tenants"),
    ("POST", "/api/v1/admin/tenants"),
    ("DELETE", "/api/v1/shop"),
    ("POST", "/api/v1/shop/reopen"),
    ("POST", "/api/v1/auth/verify/resend"),
    ("GET", "/api/v1/me/second-factor"),
    ("POST", "/api/v1/me/second-factor"),
    ("DELETE", "/api/v1/me/second-factor"),
    ("POST", "/api/v1/me/second-factor/confirm"),
    ("POST", "/api/v1/me/second-factor/recovery-codes"),
    ("POST", "/api/v1/members/leave"),
    ("POST", "/api/v1/ownership"),
    ("GET", "/api/v1/admin/people"),
    ("POST", "/api/v1/admin/people"),
    ("PATCH", "/api/v1/admin/people/{member_id}"),
    ("DELETE", "/api/v1/admin/people/{member_id}"),
    ("DELETE", "/api/v1/admin/people/{member_id}/second-factor"),
    ("DELETE", "/api/v1/admin/people/invites/{invite_id}"),
    ("GET", "/api/v1/admin/plans"),
    ("GET", "/api/v1/admin/plans/{plan_id}"),
    ("PUT", "/api/v1/admin/plans/{plan_id}"),
    ("GET", "/api/v1/admin/audit"),
    ("POST", "/api/v1/admin/audit/verify"),
    ("POST", "/api/v1/admin/act"),
    ("DELETE", "/api/v1/admin/act"),
    ("POST", "/api/v1/admin/impersonate"),
    ("DELETE", "/api/v1/admin/impersonate"),
}
"""Routes about the person who asks that name nobody, and those of the platform: no key of a tenant opens them."""
OPEN = {
    ("POST", "/api/v1/auth/signup"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/auth/password/forgot"),
    ("POST", "/api/v1/auth/forgot"),
    ("POST", "/api/v1/auth/password/reset"),
    ("POST", "/api/v1/auth/reset"),
    ("POST", "/api/v1/auth/verify"),
    ("GET", "/api/v1/invites/token/{token}"),
    ("POST", "/api/v1/invites/token/{token}/accept"),
    ("GET", "/health"),
    ("GET", "/metrics"),
}
"""Routes without a credential."""
