"""Sets that were measured, kept in a file, so that a matrix that broke off goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resources.base.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class MatrixOptions:
    """What a figure of the matrix depends on beside the data. A file holds figures of one such set of options.

    `code` is the version of what was measured: two versions in one table would say nothing of either.
    """

    budget: int
    seed: int
    seeds: int
    smoke: bool
    code: str


class KeptSets:
    """Measured sets by name, in a JSON file or, without one, nowhere.

    Raises:
        InvalidInput: the file is none of ours, or was measured with other options.
    """

    def __init__(self, file: Path | None, options: MatrixOptions) -> None:
        self._file, self._options = file, asdict(options)
        self.sets: dict[str, dict[str, Any]] = {}
        if file is None or not file.exists():
            return
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            options_then, self.sets = document["options"], document["sets"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InvalidInput(f"{file} does not hold measured sets; name another file with --keep.") from error
        if options_then != self._options:
            raise InvalidInput(
                f"{file} was measured with other options or another version ({options_then}, now {self._options}); "
                "name another file with --keep."
            )

    def add(self, name: str, measured: dict[str, Any]) -> None:
        """Keep a set; the file is replaced whole."""
        self.sets[name] = measured
        if self._file is None:
            return
        beside = self._file.with_name(f".{self._file.name}.new")
        beside.write_text(json.dumps({"options": self._options, "sets": self.sets}, indent=1), encoding="utf-8")
        beside.replace(self._file)
