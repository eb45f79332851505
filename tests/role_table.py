"""The table of roles in docs/accounts.md: `python -m tests.role_table` writes it anew."""

from __future__ import annotations

from pathlib import Path

from resources.access.roles import (
    FORBIDDEN_WHILE_ACTING,
    OFFICE_PERMISSIONS,
    OFFICE_ROLES,
    PERMISSIONS_OF_OFFICE,
    PERMISSIONS_OF_ROLE,
    TENANT_ROLES,
)
from resources.access.scopes import PERMISSIONS

ACCOUNTS_PAGE = Path("docs/accounts.md")
_BEGIN, _END = "<!-- roles -->\n", "<!-- /roles -->\n"


def role_tables() -> str:
    """Return who has which permission, in a shop and over all shops, as two Markdown tables."""
    lines = [f"| in a shop | {' | '.join(TENANT_ROLES)} | while acting |", f"|---|{'---|' * len(TENANT_ROLES)}---|"]
    for permission in PERMISSIONS:
        has = [permission in PERMISSIONS_OF_ROLE[role] for role in TENANT_ROLES]
        marks = [*has, has[TENANT_ROLES.index("admin")] and permission not in FORBIDDEN_WHILE_ACTING]
        lines.append(f"| `{permission}` | {' | '.join('yes' if mark else '' for mark in marks)} |")
    lines += ["", f"| of the platform | {' | '.join(OFFICE_ROLES)} |", f"|---|{'---|' * len(OFFICE_ROLES)}"]
    for office in OFFICE_PERMISSIONS:
        held = ["yes" if office in PERMISSIONS_OF_OFFICE[role] else "" for role in OFFICE_ROLES]
        lines.append(f"| `{office}` | {' | '.join(held)} |")
    return "\n".join(lines) + "\n"


def accounts_page(text: str) -> str:
    """Return the page with the tables as they are now."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}{role_tables()}{_END}{after}"


if __name__ == "__main__":
    ACCOUNTS_PAGE.write_text(accounts_page(ACCOUNTS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
