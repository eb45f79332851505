"""Settings on their way into the control DB, all of which fit, and out of it, where an earlier version may have left
anything: what does not fit today is set aside, entry by entry, and the rest counts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from resources.base.errors import FieldProblem, InvalidInput
from resources.tenants.hyperparameters import own_name_problems
from resources.tenants.settings import TenantSettings

_SHOWN = 100
_HYPERPARAMETERS = ("training", "hyperparameters")


@dataclass(frozen=True, slots=True)
class UnusableSetting:
    """A stored setting that does not fit, and does not count: `value` is cut to 100 characters, `reason` says why."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """What a tenant's stored settings come to today. In the place of an unusable one the default counts."""

    settings: TenantSettings
    unusable: tuple[UnusableSetting, ...] = ()


def read_settings(stored: Any) -> StoredSettings:
    """Read what is stored of a tenant's settings, whatever it is; nothing in it is an error."""
    if not isinstance(stored, dict):
        return StoredSettings(TenantSettings(), (_unusable("settings", stored, "is no JSON object"),))
    fields = copy.deepcopy(stored)
    found: list[UnusableSetting] = []
    while True:
        wrong: list[tuple[tuple[str | int, ...], str]]
        try:
            settings = TenantSettings.model_validate(fields)
            wrong = [((*_HYPERPARAMETERS, name), reason) for name, reason in _hyperparameter_problems(settings)]
        except ValidationError as error:
            wrong = [place for each in error.errors() for place in _places(each)]
        if not wrong:
            return StoredSettings(settings, tuple(found))
        taken = [_take_out(fields, path, reason) for path, reason in wrong]
        found += [each for each in taken if each is not None]
        if not any(taken):
            return StoredSettings(TenantSettings(), (*found, _unusable("settings", fields, wrong[0][1])))


def changed(settings: TenantSettings, changes: Mapping[str, JsonValue]) -> TenantSettings:
    """Return the settings with `changes` by dotted name; `None` goes back to the default.

    The entries of a mapping (`interaction_types.bought`, `training.hyperparameters.dim`) are named the same way.

    Raises:
        InvalidInput: names each setting that does not exist or does not take the value.
    """
    fields: dict[str, Any] = settings.model_dump(mode="json")
    for name, value in changes.items():
        *path, last = name.split(".")
        place = fields
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InvalidInput(f"There is no setting {name}.", details=(FieldProblem(name, "does not exist"),))
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    try:
        new = TenantSettings.model_validate(fields)
    except ValidationError as error:
        raise _refusal(
            [FieldProblem(".".join(str(part) for part in _named(each)), _message(each)) for each in error.errors()]
        ) from error
    prefix = ".".join(_HYPERPARAMETERS)
    if problems := [FieldProblem(f"{prefix}.{name}", reason) for name, reason in _hyperparameter_problems(new)]:
        raise _refusal(problems)
    return new


def _refusal(problems: Sequence[FieldProblem]) -> InvalidInput:
    said = "; ".join(
        f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in problems
    )
    return InvalidInput(f"The settings were not changed. {said}", details=tuple(problems))


def _hyperparameter_problems(settings: TenantSettings) -> Iterator[tuple[str, str]]:
    training = settings.training
    yield from own_name_problems(training.model_type, training.hyperparameters).items()


def _message(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ")


def _named(error: ErrorDetails) -> tuple[str | int, ...]:
    """The place of an error, without what pydantic adds for the type of a hyper-parameter."""
    location = error["loc"]
    return location[:3] if location[:2] == _HYPERPARAMETERS else location


def _places(error: ErrorDetails) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The entries that an error is about: its own, or those that do not go together."""
    together = error.get("ctx", {}).get("fields")
    for name in together or ():
        yield (*error["loc"], name), _message(error)
    if not together:
        yield _named(error), _message(error)


def _take_out(fields: dict[str, Any], path: Sequence[str | int], reason: str) -> UnusableSetting | None:
    """Remove the entry that `path` leads to, or the last one on the way that is there; None when none is."""
    place, way = fields, []
    for part in path:
        if not isinstance(place, dict) or part not in place:
            break
        way.append((place, str(part)))
        place = place[str(part)]
    # Of fields that do not go together one may be a default, which is not stored.
    if not way or (len(way) < len(path) and isinstance(place, dict)):
        return None
    holder, name = way[-1]
    return _unusable(".".join(part for _, part in way), holder.pop(name), reason)


def _unusable(name: str, value: Any, reason: str) -> UnusableSetting:
    return UnusableSetting(name[:_SHOWN], repr(value)[:_SHOWN], reason)
