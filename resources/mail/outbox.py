"""The folder in which mails lie while no mail server is set up."""

from __future__ import annotations

import os
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

from resources.processes.process import private_folder
from resources.storage.lake import sync

SENDER = "recsaas@localhost"
"""Whom mails come from that no server sends."""


def write_to_outbox(folder: Path, mail_id: str, message: EmailMessage) -> Path:
    """Write the mail as `<id>.eml`, whole or not at all, and readable by its owner alone: links in it open accounts."""
    private_folder(folder)
    file, part = folder / f"{mail_id}.eml", folder / f".{mail_id}.{os.getpid()}"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
        written.write(message.as_bytes(policy=SMTPUTF8))
        written.flush()
        os.fsync(written.fileno())
    part.replace(file)
    sync(folder)
    return file
