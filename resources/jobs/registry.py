"""The kinds of job and how each is treated. A new kind is a line here, a module in `kinds/` and a handler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Literal

from resources.jobs.claims import MAX_ATTEMPTS
from resources.jobs.model import JobKind

Program = Literal["service", "pipeline"]
Cancelling = Literal["ends", "asks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPolicy:
    """How the jobs of one kind are treated.

    Attributes:
        program: whose processes do them: the service's workers, or sensors of the pipeline.
        priority: of a new job; among the jobs of one tenant the greatest goes first.
        max_unfinished: how many unfinished ones a tenant may have; None: any number.
        max_attempts: how many processes may end before the job does, too; None: it is tried until it is done.
        max_rest: how long a job rests at the longest that was put back.
        while_suspended: whether they are done for a suspended tenant as well.
        rotates: whether one that was put back goes behind the others of its tenant; else they keep their order.
        resumes: whether the next process goes on with what the one before has noted; others begin anew.
        ordered: whether no two of a tenant are of one age, so that a list by time has an order.
        broke_off: the message of a job that ended too many processes; of kinds whose attempts have an end.
        unexpected: the message of one whose attempts an error has used up that nobody expected.
        cancellable: whether one can be cancelled at all; a queued one then ends at once.
        cancelling: of a running one: it `ends` at once, or its run is asked (`asks`).
        again: what to do in place of a retry where a finished one cannot be tried again; None where it can.
        asked, cancelled, retried: the actions of the audit log; None: it has another entry, when it is done.
    """

    program: Program
    priority: int = 0
    max_unfinished: int | None = None
    max_attempts: int | None = MAX_ATTEMPTS
    max_rest: timedelta = timedelta(minutes=5)
    while_suspended: bool = False
    rotates: bool = False
    resumes: bool = False
    ordered: bool = False
    broke_off: str = ""
    unexpected: str = ""
    cancellable: bool = True
    cancelling: Cancelling = "ends"
    again: str | None = None
    asked: str | None = None
    cancelled: str | None = None
    retried: str | None = None


POLICIES: Mapping[JobKind, JobPolicy] = MappingProxyType(
    {
        # Their files hold disk, and each makes the others wait. The end of a job removes its file.
        JobKind.UPLOAD: JobPolicy(
            program="service",
            max_unfinished=10,
            broke_off="The check of this file broke off again and again. Split the file.",
            unexpected="Something went wrong on our side. Send the file again; if it stays, tell us.",
            again="Send the file again.",
            cancelled="job.cancel",
        ),
        JobKind.EXPORT: JobPolicy(
            program="service",
            max_unfinished=1,
            ordered=True,
            broke_off="This export broke off again and again. Tell us its id.",
            unexpected="Something went wrong on our side. Ask for a new export; if it stays, tell us the id.",
            asked="recommendation_export.ask",
            cancelled="recommendation_export.cancel",
            retried="recommendation_export.retry",
        ),
        JobKind.TRAINING: JobPolicy(
            program="pipeline",
            max_unfinished=1,
            max_attempts=None,  # Dagster starts its runs, and says when they have failed
            ordered=True,
            cancelling="asks",
            again="Ask for a new one: POST /api/v1/train",
            asked="training.ask",
            cancelled="training.cancel",
        ),
        # A request to erase was acknowledged: it is done whatever happens, and cannot be taken back.
        JobKind.ERASURE: JobPolicy(
            program="pipeline",
            priority=10,
            max_attempts=None,
            max_rest=timedelta(),
            while_suspended=True,
            rotates=True,
            resumes=True,
            cancellable=False,
            again="It is tried until it is done.",
        ),
        JobKind.TENANT_EXPORT: JobPolicy(
            program="service",
            max_unfinished=1,
            while_suspended=True,  # whoever leaves takes the data along
            ordered=True,
            broke_off="This export broke off again and again. Tell us its id.",
            unexpected="Something went wrong on our side. Ask for a new export; if it stays, tell us the id.",
            asked="tenant.export",
        ),
        # Undone by resuming the tenant, as long as nothing was removed.
        JobKind.TENANT_ERASURE: JobPolicy(
            program="pipeline",
            max_attempts=None,
            max_rest=timedelta(),
            while_suspended=True,
            rotates=True,
            resumes=True,
            cancellable=False,
            again="It is tried until it is done.",
        ),
    }
)
