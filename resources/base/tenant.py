"""`TenantId`: the one type from which partition keys, lake paths and database rows derive."""

from __future__ import annotations

import re
from dataclasses import dataclass

from resources.base.errors import InvalidInput

_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, order=True)
class TenantId:
    """A tenant's slug: 1–63 of `a-z`, `0-9` and `-`, neither starting nor ending with a dash.

    The form is safe as a folder name, an S3 prefix, a Dagster partition key and a metric label.

    Raises:
        InvalidInput: the value does not have this form.
    """

    value: str

    def __post_init__(self) -> None:
        if not _PATTERN.fullmatch(self.value):
            raise InvalidInput(
                f"{self.value[:80]!r} is not a tenant id: use 1 to 63 lower-case letters, digits and dashes, "
                "for example 'blue-shop'."
            )

    @classmethod
    def parse(cls, text: str) -> TenantId:
        """Return the id that `text` spells; blanks around it are dropped."""
        return cls(text.strip())

    def __str__(self) -> str:
        return self.value
