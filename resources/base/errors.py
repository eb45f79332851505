"""The exception tree: every error a person can meet has a stable code and says what to do next.

RecsaasError
├── InvalidInput            well-formed but wrong
│   ├── UploadRefused       the file cannot be read at all
│   └── NothingToTrainOn      a tenant's data say nothing that a model could learn yet
├── Unauthenticated         no or bad credential
│   ├── LoginRefused        wrong e-mail or password, whichever
│   └── SecondFactorRequired
├── Forbidden               known, but not allowed
│   ├── CrossSiteRequest
│   ├── InsecureAddress
│   ├── SsoRefused
│   └── SecondFactorMissing of somebody with a role of the platform
├── NotFound
│   ├── TenantNotFound
│   ├── UploadNotFound
│   ├── UploadJobNotFound
│   ├── ReleaseNotFound
│   ├── ItemNotFound
│   ├── ErasureNotFound
│   ├── UserNotFound
│   ├── RuleNotFound
│   ├── TrainingJobNotFound
│   ├── ExportNotFound
│   └── LinkNotValid
│       └── LinkExpired
├── Conflict
├── TooLarge
├── TooManyRequests         over a limit that time lifts
│   ├── TooManyAttempts     of logging in
│   └── QuotaUsedUp         a limit of the plan, until the month ends
├── QuotaExceeded           over a limit of the plan that a larger one lifts
├── NotInPlan               the plan does not have this feature
├── NotReady                try again later
│   ├── SsoUnavailable      the provider of log-ins does not answer
│   ├── NoRelease           the tenant has nothing to serve yet
│   └── LakeUnavailable     the object store of the lake does not answer
├── CorruptArtifact         a stored file is not what was written
│   └── CorruptRelease
└── ConfigurationError      the installation or a setting is wrong
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field of the input and what is wrong with it."""

    field: str
    message: str


class RecsaasError(Exception):
    """Base of every error raised on purpose.

    `code` is stable and meant for programs, `message` is meant for a person and names the next step.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, details: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInput(RecsaasError):
    """The input is well-formed but wrong."""

    code = "invalid_request"


class UploadRefused(InvalidInput):
    """A file that cannot be read at all; `reason` is a stable code such as `empty_file`."""

    code = "upload_refused"

    def __init__(self, reason: str, message: str, *, details: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message, details=details)
        self.reason = reason


class NothingToTrainOn(InvalidInput):
    """A tenant's data are as they may be, and say nothing yet that a model could learn: more of them are needed."""

    code = "nothing_to_train_on"


class Unauthenticated(RecsaasError):
    """No credential, or one that is not valid."""

    code = "unauthenticated"


class LoginRefused(Unauthenticated):
    """The e-mail or the password is wrong; nobody is told which.

    `wait_seconds`: how long the answer is held back, the longer the more often it was wrong.
    """

    code = "wrong_login"

    def __init__(self, *, wait_seconds: float) -> None:
        super().__init__("The e-mail address or the password is wrong. Check both, or set a new password.")
        self.wait_seconds = wait_seconds


class SecondFactorRequired(Unauthenticated):
    """The password is right, and the six digits of the second factor are missing."""

    code = "second_factor_required"


class Forbidden(RecsaasError):
    """The credential is valid but does not allow this."""

    code = "forbidden"


class CrossSiteRequest(Forbidden):
    """A form or script of another site sent this with somebody's cookie."""

    code = "cross_site_request"


class InsecureAddress(Forbidden):
    """Nobody may log in over plain http from another machine: passwords could be read on the way."""

    code = "insecure_address"


class SsoRefused(Forbidden):
    """The provider of SSO says who somebody is, and that does not let them in here."""

    code = "sso_refused"


class SecondFactorMissing(Forbidden):
    """Who has a role of the platform has to set up a second factor first."""

    code = "second_factor_missing"


class NotFound(RecsaasError):
    """The named thing does not exist for this tenant."""

    code = "not_found"


class TenantNotFound(NotFound):
    """No tenant has this id."""

    code = "tenant_not_found"


class UploadNotFound(NotFound):
    """The tenant has no upload with this id."""

    code = "upload_not_found"


class UploadJobNotFound(NotFound):
    """The tenant has no upload job with this id."""

    code = "upload_job_not_found"


class ReleaseNotFound(NotFound):
    """The tenant has no release with this version."""

    code = "release_not_found"


class ItemNotFound(NotFound):
    """The tenant's release does not know this item."""

    code = "item_not_found"


class ErasureNotFound(NotFound):
    """The tenant has no erasure with this id."""

    code = "erasure_not_found"


class UserNotFound(NotFound):
    """The tenant has no such user."""

    code = "user_not_found"


class RuleNotFound(NotFound):
    """The tenant has no merchandising rule with this id."""

    code = "rule_not_found"


class TrainingJobNotFound(NotFound):
    """The tenant has no training job with this id."""

    code = "training_job_not_found"


class ExportNotFound(NotFound):
    """The tenant has no export with this id, or it has no file."""

    code = "export_not_found"


class LinkNotValid(NotFound):
    """A link of a mail that never was one, was used, or was taken back."""

    code = "link_not_valid"


class LinkExpired(LinkNotValid):
    """A link of a mail whose time is over."""

    code = "link_expired"


class Conflict(RecsaasError):
    """The request contradicts what is stored or running."""

    code = "conflict"


class TooLarge(RecsaasError):
    """The body or file is over a configured limit."""

    code = "too_large"


class TooManyRequests(RecsaasError):
    """A limit is reached that time lifts."""

    code = "too_many_requests"


class TooManyAttempts(TooManyRequests):
    """Too many log-ins have failed; `retry_after` says when the next one is looked at, in seconds."""

    code = "too_many_attempts"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaUsedUp(TooManyRequests):
    """A limit of the plan is used up until the month ends, in `retry_after` seconds."""

    code = "quota_exceeded"

    def __init__(self, message: str, *, retry_after: int = 60, details: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message, details=details)
        self.retry_after = retry_after


class QuotaExceeded(RecsaasError):
    """A limit of the plan is reached that a larger plan lifts."""

    code = "quota_exceeded"


class NotInPlan(RecsaasError):
    """The tenant's plan does not have this feature."""

    code = "not_in_plan"


class NotReady(RecsaasError):
    """The request is right, but cannot be answered yet."""

    code = "not_ready"


class SsoUnavailable(NotReady):
    """The provider of SSO does not answer, or not as OpenID Connect wants."""

    code = "sso_unavailable"


class NoRelease(NotReady):
    """The tenant has no release to serve yet."""

    code = "no_release"


class LakeUnavailable(NotReady):
    """The object store of the lake does not answer; what is in it is not known."""

    code = "lake_unavailable"


class CorruptArtifact(RecsaasError):
    """A stored file is missing or is not what was written."""

    code = "corrupt_artifact"


class CorruptRelease(CorruptArtifact):
    """A release, or the pointer to it, is not what was written."""

    code = "corrupt_release"


class ConfigurationError(RecsaasError):
    """A setting or the installation is wrong; the message says which and what to do."""

    code = "configuration_error"
