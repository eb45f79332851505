"""The columns and rules of the data contract, the words of headers and the known exports as the tables of the docs."""

from __future__ import annotations

from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind, columns
from resources.uploads.headers.presets import PRESETS
from resources.uploads.headers.words import LIKELY, SURE
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


def word_table(kind: Kind) -> str:
    """Return the words of headers of `kind` as a Markdown table."""
    lines = ["| column | read by itself | only proposed |", "|---|---|---|"]
    for column in (spec.name for spec in columns(kind)):
        sure, likely = SURE[kind].get(column, ()), LIKELY[kind].get(column, ())
        if sure or likely:
            lines.append(f"| `{column}` | {', '.join(sure)} | {', '.join(likely)} |")
    return "\n".join(lines) + "\n"


def preset_table() -> str:
    """Return the known exports as a Markdown table."""
    lines = ["| export | kind | recognised by | what is read | type |", "|---|---|---|---|---|"]
    for preset in PRESETS:
        read = [f"{header} → `{column}`" for header, column in preset.columns.items()]
        read += [
            f"{given[0]} → `{column}`"
            for given, column in ((preset.categories, "category"), (preset.tags, "tags"))
            if given is not None
        ]
        read += [f"not {preset.hidden} → `available`"] if preset.hidden else []
        types = [f"{name} → {target}" for name, target in preset.types.items()]
        said = preset.default_type or ", ".join(types)
        recognised = ", ".join(preset.headers)
        lines.append(f"| {preset.name} | {preset.kind} | {recognised} | {', '.join(read)} | {said} |")
    return "\n".join(lines) + "\n"
