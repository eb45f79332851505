"""Routes that change something, whose entries in the audit log are made in tests of their own."""

from __future__ import annotations

_LOGIN = "tests/unit/bento_service/accounts/test_login.py"
_TEAM = "tests/unit/bento_service/people_routes/test_team_over_http.py"
_FACTOR = "tests/unit/bento_service/people_routes/test_second_factor_over_http.py"
_LINKS = "tests/unit/bento_service/people_routes/test_links_over_http.py"
_TENANTS = "tests/unit/bento_service/admin/test_tenants.py"
_PLANS = "tests/unit/resources/plans"
IN_TESTS_OF_THEIR_OWN: dict[str, str] = {
    **dict.fromkeys(
        (
            "POST /api/v1/auth/signup",
            "POST /api/v1/auth/login",
            "POST /api/v1/auth/refresh",
            "POST /api/v1/auth/password/change",
        ),
        _LOGIN,
    ),
    **dict.fromkeys(
        (
            "POST /api/v1/auth/forgot",
            "POST /api/v1/auth/password/forgot",
            "POST /api/v1/auth/password/reset",
            "POST /api/v1/auth/reset",
            "POST /api/v1/auth/verify",
            "POST /api/v1/auth/verify/resend",
        ),
        _LINKS,
    ),
    **dict.fromkeys(
        (
            "DELETE /api/v1/members/{member_id}",
            "PATCH /api/v1/members/{member_id}",
            "POST /api/v1/members/leave",
            "POST /api/v1/ownership",
            "POST /api/v1/invites/token/{token}/accept",
            "DELETE /api/v1/admin/people/invites/{invite_id}",
            "DELETE /api/v1/admin/people/{member_id}",
            "PATCH /api/v1/admin/people/{member_id}",
            "POST /api/v1/admin/people",
            "POST /api/v1/admin/users",
        ),
        _TEAM,
    ),
    **dict.fromkeys(
        (
            "DELETE /api/v1/admin/people/{member_id}/second-factor",
            "DELETE /api/v1/me/second-factor",
            "POST /api/v1/me/second-factor",
            "POST /api/v1/me/second-factor/confirm",
            "POST /api/v1/me/second-factor/recovery-codes",
        ),
        _FACTOR,
    ),
    **dict.fromkeys(
        (
            "DELETE /api/v1/admin/tenants/{tenant_id}",
            "PATCH /api/v1/admin/tenants/{tenant_id}",
            "POST /api/v1/admin/tenants",
            "POST /api/v1/admin/tenants/{tenant_id}/exports",
            "DELETE /api/v1/shop",
            "POST /api/v1/shop/exports",
            "POST /api/v1/shop/reopen",
        ),
        _TENANTS,
    ),
    **dict.fromkeys(
        (
            "DELETE /api/v1/admin/tenants/{tenant_id}/plan",
            "DELETE /api/v1/admin/tenants/{tenant_id}/quotas/{meter}",
            "POST /api/v1/plan/request",
            "PUT /api/v1/admin/plans/{plan_id}",
            "PUT /api/v1/admin/tenants/{tenant_id}/plan",
            "PUT /api/v1/admin/tenants/{tenant_id}/quotas/{meter}",
        ),
        _PLANS,
    ),
}
"""Routes whose entries depend on how they went, or that need people, links and mails: those tests make them."""
