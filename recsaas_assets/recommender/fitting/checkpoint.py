"""A fit's state in a file, so that a fit that was killed goes on where it was and ends with the same vectors."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from upath import UPath

from resources.base.errors import RecsaasError
from resources.storage.lake import read_bytes, write_bytes

_DOCUMENT = "document"
_ENDING = ".fit.npz"


class CannotResume(RecsaasError):
    """The checkpoint there is cannot be used; the message says why, and the fit starts afresh."""

    code = "cannot_resume"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything a fit needs to go on: arrays by name, and what fits into JSON."""

    arrays: dict[str, npt.NDArray[Any]]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder for the state of fits, and how often it is written: whole or not at all.

    Each fit has a file of its own in ``folder``, named by the fingerprint of all that decides its result, so that it
    never goes on from the state of another one. A fit that takes less than ``every_seconds`` writes nothing. A longer
    one also writes its end, so that of several fits in a row those that were done are not done again; whoever has the
    results calls `clear`. Writing needs the memory of the state once more: eight times that of the embeddings.
    """

    folder: UPath
    every_seconds: float = 60.0

    def save(self, snapshot: Snapshot, fingerprint: str) -> None:
        """Replace the state of the fit with this fingerprint, see `fingerprint_of`."""
        document = json.dumps({"fingerprint": fingerprint, **snapshot.document}).encode()
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **snapshot.arrays, **{_DOCUMENT: np.frombuffer(document, np.uint8)})
        write_bytes(self._file(fingerprint), buffer.getvalue())

    def load(self, fingerprint: str) -> Snapshot | None:
        """The state of the fit with this fingerprint; None when there is none.

        Raises:
            CannotResume: the file is damaged, or holds the state of another fit.
        """
        path = self._file(fingerprint)
        try:
            data = read_bytes(path)
        except FileNotFoundError:
            return None
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            document = json.loads(arrays.pop(_DOCUMENT).tobytes())
            found = document.pop("fingerprint")
        except (zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
            raise CannotResume(f"The checkpoint {path} is damaged; the fit starts afresh.") from error
        if found != fingerprint:
            raise CannotResume(f"The checkpoint {path} is of another fit; this one starts afresh.")
        return Snapshot(arrays, document)

    def clear(self) -> None:
        """Remove all states, those of fits that were never gone on with too."""
        for path in self.folder.glob(f"*{_ENDING}"):
            path.unlink(missing_ok=True)

    def _file(self, fingerprint: str) -> UPath:
        return self.folder / f"{fingerprint}{_ENDING}"


def fingerprint_of(parts: Iterable[npt.NDArray[Any] | str]) -> str:
    """SHA-256 (hex) of arrays and texts, in order."""
    digest = hashlib.sha256()
    for part in parts:
        kind = "text" if isinstance(part, str) else f"{part.dtype}{part.shape}"
        data = part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes()
        digest.update(f"{kind}:{len(data)};".encode() + data)
    return digest.hexdigest()
