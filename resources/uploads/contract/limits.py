"""What reading one upload may cost, and where it may not be done while somebody waits for the answer."""

from __future__ import annotations

from dataclasses import dataclass

from resources.base.errors import TooLarge, UploadRefused
from resources.base.settings import Settings

AT_ONCE_ROWS = 1_000_000
"""Rows that are checked before the answer: some seconds."""
_GROUPS_IN_MEMORY = 4
_BYTES_OF_A_CELL = 16
_WALL_SECONDS, _WALL_PER_CPU_SECOND = 300, 10
"""A busy machine, or another upload of the tenant that stores, is no fault of the file."""
_CPU_SECONDS_OF_A_FILE, _CPU_SECONDS_OF_A_MIB = 60, 5
"""What cost little to send may not cost much to read; files of shops take a fifth of that."""


class TakesLong(Exception):
    """The file is too much work for an answer that somebody waits for; nothing is stored."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Rows of a file and of a tenant, and what the process that reads the file may take.

    `memory_bytes` and `cpu_seconds` count all its threads. `at_once_bytes` of text and `AT_ONCE_ROWS` may be read while
    somebody waits; None when nobody does. The defaults are those of the settings.
    """

    max_rows: int = 50_000_000
    max_tenant_rows: int = 100_000_000
    memory_bytes: int = 2 * 1024**3
    cpu_seconds: int = 900
    at_once_bytes: int | None = None

    @classmethod
    def of(cls, settings: Settings, *, at_once: bool = False) -> UploadLimits:
        """Limits of this installation; `at_once` when somebody waits for the answer."""
        return cls(
            max_rows=settings.max_upload_rows,
            max_tenant_rows=settings.max_tenant_rows,
            memory_bytes=settings.upload_memory_bytes,
            cpu_seconds=settings.inline_upload_cpu_seconds if at_once else settings.upload_cpu_seconds,
            at_once_bytes=settings.inline_upload_bytes if at_once else None,
        )

    def cpu_seconds_for(self, size: int) -> int:
        """CPU seconds that a file of `size` bytes, as it was sent, may take."""
        if self.at_once_bytes is not None:
            return self.cpu_seconds
        return min(self.cpu_seconds, _CPU_SECONDS_OF_A_FILE + _CPU_SECONDS_OF_A_MIB * size // 1024**2)

    def wall_seconds_for(self, size: int) -> int:
        """Seconds after which a process that got hardly any processor, or waits for something, is given up."""
        return _WALL_SECONDS + self.cpu_seconds_for(size) * _WALL_PER_CPU_SECOND

    def check_rows(self, rows: int, filename: str) -> None:
        """Raise when a file holds more than so many rows.

        Raises:
            TooLarge: it has more rows than are accepted.
            TakesLong: it has more than can be checked at once.
        """
        if rows > self.max_rows:
            raise TooLarge(f"{filename} holds more than {self.max_rows:,} rows; split it into smaller files.")
        if self.at_once_bytes is not None and rows > AT_ONCE_ROWS:
            raise TakesLong

    def check_text(self, length: int) -> None:
        """Raise when a file holds more than so many bytes of text.

        Raises:
            TakesLong: it has more than can be checked at once.
        """
        if self.at_once_bytes is not None and length > self.at_once_bytes:
            raise TakesLong

    def check_row_group(self, rows: int, columns: int, length: int, filename: str) -> None:
        """Raise when a row group of Parquet, whose columns have `length` bytes uncompressed, would not fit into memory.

        Raises:
            UploadRefused: `too_expensive`.
        """
        most = self.memory_bytes // _GROUPS_IN_MEMORY
        needed = length + rows * columns * _BYTES_OF_A_CELL
        if needed > most:
            raise UploadRefused(
                "too_expensive",
                f"{filename} has a row group of {rows:,} rows that takes {needed:,} bytes of memory to read, at most "
                f"{most:,} are allowed; write it with smaller row groups, split it, or send CSV.",
            )


DEFAULT_LIMITS = UploadLimits()
