"""The actions that the audit log knows, each in words for people; docs/audit.md has them as a table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "acting.begin": "Somebody of the office began to act for the tenant",
        "acting.end": "They stopped before the time was over",
        "audit.expire": "Entries older than RECSAAS_AUDIT_DAYS were removed; the hash is that of the newest of them",
        "audit.export": "The audit log was downloaded",
        "audit.read": "The audit log was looked at; one entry for each reader and hour",
        "audit.verify": "A chain was verified, with the result",
        "erasure.ask": "A user's erasure was asked for; the user stands there as a keyed hash",
        "erasure.done": "Nothing of a user is left, and the certificate is stored",
        "items.change": "Items were put, patched or deleted by API: how many, and the first ids",
        "job.cancel": "An upload's check was cancelled by an operator",
        "key.create": "An API key was made",
        "key.revoke": "An API key was revoked",
        "recommendation_export.ask": "A file with the recommendations of all users was asked for",
        "recommendation_export.cancel": "An export was cancelled",
        "recommendation_export.read": "The file of an export was downloaded",
        "recommendation_export.remove": "A finished export was removed with its file",
        "recommendation_export.retry": "An export that had failed was queued again",
        "release.promote": "A release went live: by a run, or by a person (forced: against the gate)",
        "release.rollback": "The release before went live again",
        "rule.add": "A merchandising rule was added",
        "rule.change": "A merchandising rule was changed",
        "rule.remove": "A merchandising rule was removed",
        "settings.change": "Settings of the tenant were changed: mappings, names of interactions, training …",
        "tenant.create": "A tenant was made",
        "tenant.resume": "A suspended tenant goes on",
        "tenant.suspend": "A tenant was stopped",
        "training.ask": "A training, or a new index, was asked for",
        "training.cancel": "A training job was cancelled, or its run asked to stop",
        "upload.set_aside": "A run found an upload that it cannot work with; its rows do not count",
        "upload.store": "An upload was stored",
        "upload.withdraw": "An upload was taken back",
        "user.read": "Everything stored about a user was exported; the user stands there as a keyed hash",
    }
)
