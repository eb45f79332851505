"""`python -m tests.architecture.audit_table` writes the table of actions into docs/audit.md."""

from __future__ import annotations

import re
from pathlib import Path

from resources.audit.actions import ACTIONS

PAGE = Path("docs/audit.md")


def page_with_table(text: str) -> str:
    """Return the page with the actions as the code has them."""
    rows = "\n".join(f"| `{action}` | {words} |" for action, words in sorted(ACTIONS.items()))
    table = f"| action | what happened |\n|---|---|\n{rows}\n"
    return re.sub(r"(?<=<!-- actions -->\n).*?(?=<!-- /actions -->)", table, text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
