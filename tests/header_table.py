"""The tables in docs/headers.md: `python -m tests.header_table` writes them anew."""

from __future__ import annotations

from pathlib import Path

from resources.uploads.contract.columns import Kind, columns
from resources.uploads.headers.presets import PRESETS
from resources.uploads.headers.words import LIKELY, SURE

HEADERS_PAGE = Path("docs/headers.md")
_BEGIN, _END = "<!-- headers -->\n", "<!-- /headers -->\n"


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


def headers_page(page: str) -> str:
    """Return the page with its tables as the code says."""
    before, _, rest = page.partition(_BEGIN)
    words = "\n".join(f"### Words of {kind}\n\n{word_table(kind)}" for kind in Kind)
    tables = f"## Known exports\n\n{preset_table()}\n## Words\n\n{words}"
    return f"{before}{_BEGIN}{tables}{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    HEADERS_PAGE.write_text(headers_page(HEADERS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
