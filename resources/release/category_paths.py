"""Categories as paths: `Clothing` is above `Clothing > T-shirts`, by the separator that the catalogue uses."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

_PLAIN = (">", "|", "›", "»", "→", "::")
"""Separators that hardly any name holds, the likeliest first."""
_DOUBTFUL = ("/", ".")
"""Separators that names hold, too (`Audio/Video`): they need a branch, two categories below a third."""
_PART_END = "\x1f"
"""Between the parts of a key; no text of a file holds it."""


class CategoryPaths:
    """The categories of a catalogue as a tree. Blanks around the parts of a path, case and the form of letters do not
    count.

    Args:
        texts: the categories as the catalogue writes them.
        separator: what stands between the parts; found from the texts when it is not given.

    Attributes:
        separator: what stands between the parts; `None` for a catalogue without paths.
    """

    def __init__(self, texts: Iterable[str], *, separator: str | None = None) -> None:
        found = list(texts)
        self.separator = separator if separator is not None else separator_of(found)
        below: defaultdict[str, list[str]] = defaultdict(list)
        for text in found:
            for key in self.keys(text):
                below[key].append(text)
        self._below = dict(below)

    def below(self, text: str) -> Sequence[str]:
        """Return the categories, as the catalogue writes them, that are the named one or below it."""
        return self._below.get(self.key(text), ())

    def key(self, text: str) -> str:
        """Return the form in which a category is compared."""
        return _PART_END.join(_parts(text, self.separator))

    def keys(self, text: str) -> tuple[str, ...]:
        """Return the keys of a category and of all that are above it, the highest first."""
        parts = _parts(text, self.separator)
        return tuple(_PART_END.join(parts[:depth]) for depth in range(1, len(parts) + 1))


def fold(text: str) -> str:
    """Return the form in which categories, brands and tags are compared: composed letters (NFC), no case, no outer
    blanks."""
    text = text.strip()
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def separator_of(texts: Sequence[str]) -> str | None:
    """Return what stands between the parts of most categories that are paths; `None` when none is one."""
    counts = {separator: len([text for text in texts if _is_path(text, separator)]) for separator in _PLAIN}
    for separator in _DOUBTFUL:
        paths = [text for text in texts if _is_path(text, separator)]
        branches = Counter(path[0] for path in {tuple(_parts(text, separator)) for text in paths})
        names = {fold(text) for text in texts}
        counts[separator] = len(paths) if any(n > 1 or top in names for top, n in branches.items()) else 0
    best = max(counts, key=lambda separator: counts[separator])  # of equal ones the first
    return best if counts[best] else None


def _is_path(text: str, separator: str) -> bool:
    """Tell whether the separator may stand between parts of a text: a point only where no blank is beside it."""
    if separator not in text or (separator == "." and (". " in text or " ." in text)):
        return False
    return len(_parts(text, separator)) > 1


def _parts(text: str, separator: str | None) -> list[str]:
    if separator is None:
        return [folded] if (folded := fold(text)) else []
    return [folded for part in text.split(separator) if (folded := fold(part))]
