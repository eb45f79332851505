"""Options of commands that say how a file is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

_OPTIONS = (
    click.option("--map", "maps", metavar="HEADER=COLUMN", multiple=True, help="Read HEADER as COLUMN, or as ignore."),
    click.option("--type", "types", metavar="NAME=TYPE", multiple=True, help="Read the interaction NAME as TYPE."),
    click.option("--default-type", metavar="TYPE", help="Type of every row of a file that has no such column."),
    click.option(
        "--mapping",
        "mapping_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="JSON file with a mapping, as the API takes it; other options go over it.",
    ),
)


def mapping_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `given_mapping` takes."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


def given_mapping(
    *, maps: tuple[str, ...], types: tuple[str, ...], default_type: str | None, mapping_file: Path | None
) -> dict[str, Any] | None:
    """Return the mapping that the options give, yet to be checked; None without any."""
    given = _read(mapping_file) if mapping_file is not None else {}
    if maps:
        given["columns"] = {**(given.get("columns") or {}), **dict(_assignment(each, "--map") for each in maps)}
    if types:
        given["interaction_types"] = {
            **(given.get("interaction_types") or {}),
            **dict(_assignment(each, "--type") for each in types),
        }
    if default_type is not None:
        given["default_interaction_type"] = default_type
    return given or None


def _read(file: Path) -> dict[str, Any]:
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{file} is not JSON: {error}", param_hint="--mapping") from error
    if not isinstance(given, dict):
        raise click.BadParameter(f'{file} is no object such as {{"columns": {{}}}}.', param_hint="--mapping")
    return given


def _assignment(text: str, option: str) -> tuple[str, str]:
    header, equals, column = text.rpartition("=")
    if not equals or not header.strip() or not column.strip():
        raise click.BadParameter(f"{text!r} is not HEADER=COLUMN.", param_hint=option)
    return header.strip(), column.strip()
