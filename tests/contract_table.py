"""The columns and rules of the data contract as the table that `docs/data.md` shows."""

from __future__ import annotations

from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind, columns
from resources.uploads.parsing.validation import EARLIEST, rules_for


def rule_table(kind: Kind, settings: TenantSettings | None = None) -> str:
    """Return the columns and rules of `kind` as a Markdown table."""
    lines = ["| column | required | what | a row is rejected when it |", "|---|---|---|---|"]
    rules = rules_for(kind, settings or TenantSettings(), EARLIEST)
    for spec in columns(kind):
        name = f"`{spec.name}`" + (f" (or `{spec.alias}`)" if spec.alias else "")
        reasons = "; ".join(rule.error for rule in rules if rule.column == spec.name)
        lines.append(f"| {name} | {'yes' if spec.required else 'no'} | {spec.meaning} | {reasons} |")
    return "\n".join(lines) + "\n"
