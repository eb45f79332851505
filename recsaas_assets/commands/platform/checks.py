"""One check of an installation, and how a check is made that may fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from resources.base.errors import RecsaasError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check. `advice` says what to do when it failed."""

    check: str
    ok: bool
    found: str
    advice: str = ""


def try_check(check: str, work: Callable[[], str], advice: str) -> CheckResult:
    """Do the work of a check; an error of ours, of a database or of the system is what it found."""
    try:
        return CheckResult(check, True, work())
    except (RecsaasError, SQLAlchemyError, OSError, ImportError) as error:
        return CheckResult(check, False, str(error), advice)
