"""A queue in which nobody stands behind all that another has put in: the names take turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Each = TypeVar("Each")


class FairQueue(Generic[Each]):
    """First in, first out for each name, and the names in turn. A name is a tenant, or the address of a stranger."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, deque[Each]] = OrderedDict()

    def push(self, name: str, each: Each) -> None:
        """Put something in behind what `name` has in the queue; a name that had nothing is last."""
        self._of.setdefault(name, deque()).append(each)

    def pop(self, name: str | None = None) -> Each:
        """Take out what is next, or what is next of `name`, whose turn comes after all others' then.

        Raises:
            KeyError: there is nothing.
        """
        if name is None:
            name, waiting = self._of.popitem(last=False)
        else:
            waiting = self._of.pop(name)
        each = waiting.popleft()
        if waiting:
            self._of[name] = waiting
        return each

    def peek(self) -> Each:
        """Return what is next, and leave it in.

        Raises:
            StopIteration: the queue is empty.
        """
        return next(iter(self._of.values()))[0]

    def remove(self, name: str, each: Each) -> None:
        """Take out something of `name` that waits no longer.

        Raises:
            KeyError, ValueError: it is not in the queue.
        """
        self._of[name].remove(each)
        if not self._of[name]:
            del self._of[name]

    def count(self, name: str) -> int:
        """Return how much `name` has in the queue."""
        waiting = self._of.get(name)
        return len(waiting) if waiting is not None else 0

    def __iter__(self) -> Iterator[str]:
        """The names that have something in the queue, in the order of their turns."""
        return iter(self._of)

    def __bool__(self) -> bool:
        return bool(self._of)
