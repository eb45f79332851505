"""What the client for object stores raises, as errors of ours that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import ClientError as TransferError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as BotoConnectionError

from resources.base.errors import ConfigurationError, Conflict, LakeUnavailable

_NOT_OUR_FAULT = frozenset({"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "500", "502", "503"})
_REFUSED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403"}
)
_CONDITION_FAILED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
NO_CREDENTIALS = (
    "No credentials for the object store of RECSAAS_LAKE were found. Set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the S3 client raises into errors of ours; a missing object stays `FileNotFoundError`.

    Raises:
        LakeUnavailable: the store does not answer, or says that it is busy.
        ConfigurationError: the bucket, the endpoint or the credentials are wrong.
        Conflict: the condition of a conditional write did not hold.
    """
    try:
        yield
    except (BotoCoreError, ClientError, TransferError, OSError) as error:
        ours = _explain(error)
        if ours is None:
            raise
        raise ours from error


def _explain(error: Exception) -> Exception | None:
    """Return the error to raise instead, or None for one that says enough by itself."""
    answer = error if isinstance(error, ClientError) else error.__cause__
    said = answer.response.get("Error", {}) if isinstance(answer, ClientError) else {}
    code = str(said.get("Code", ""))
    if code == "NoSuchBucket":
        return ConfigurationError("The bucket of RECSAAS_LAKE does not exist. Create it, or name another one.")
    if code in _CONDITION_FAILED:
        return Conflict("Somebody else has written this meanwhile. Look at what is there now, then try again.")
    if isinstance(error, PermissionError) or code in _REFUSED:
        return ConfigurationError(
            f"The object store of RECSAAS_LAKE refuses the credentials ({code or error}). Check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, and that they may list, read, write and delete in the bucket."
        )
    cut_off = (BotoConnectionError, HTTPClientError, TransferError, TimeoutError, ConnectionError)
    if isinstance(error, cut_off) or code in _NOT_OUR_FAULT:
        return LakeUnavailable(
            f"The object store of the lake does not answer ({code or type(error).__name__}). Check that it runs and "
            "that RECSAAS_S3_ENDPOINT is its address, then try again."
        )
    if isinstance(error, NoCredentialsError):
        return ConfigurationError(NO_CREDENTIALS)
    if isinstance(error, BotoCoreError):
        return ConfigurationError(f"The object store of RECSAAS_LAKE cannot be used: {error} See docs/settings.md.")
    return None
