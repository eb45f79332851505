"""A user's rows in what the pipeline has made: raw tables, dbt models, training set, and what dead processes left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial

from upath import UPath

from resources.control_db.event_exports import list_event_exports
from resources.control_db.uploads import list_uploads
from resources.erasure.places.matching import count_in_table
from resources.erasure.places.trace import Subject, Trace, UserData
from resources.erasure.places.uploads import REWRITTEN, remove_rows
from resources.events.export import remove_unnamed_pieces
from resources.storage.lake import local_path
from resources.storage.listing import list_files, remove_folder

# Looked through in their own way, or without any row of a user.
_NOT_TABLES = frozenset({"uploads", "upload_jobs", "events", "releases", "training", "model", "exports", "landing"})
_OURS = frozenset({".lock", ".promoted"})
_ALL = 2**63
_LEFT_BEHIND = "left by a process that died; removed unread"
_TRAINING = "removed, because it was built with the user"


def traces_in_tables(subject: Subject) -> Iterator[Trace]:
    """Look at every table of the tenant that has a user column: raw tables and dbt models, whatever they are called."""
    root = subject.folder.root
    for file in sorted(list_files(root), key=lambda file: file.name):
        folder, _, name = file.name.rpartition("/")
        if (
            file.name.split("/")[0] in _NOT_TABLES
            or _is_hidden(file.name)
            or not name.endswith(".parquet")
            or not folder
        ):
            continue
        if rows := count_in_table(root / file.name, subject.user_id):
            finding = UserData(place=file.name, rows=rows, done=REWRITTEN)
            yield Trace(finding, partial(remove_rows, root / file.name, subject.user_id))


def traces_in_training(subject: Subject) -> Iterator[Trace]:
    """The training set and the model know their users, and belong together, so both go when one of them does.

    The model also holds what the next incremental run would start from.

    The users of the training set go last: what is left after a crash still says what has to go.
    """
    kept = [folder / "users.parquet" for folder in (subject.folder.model, subject.folder.training)]
    if rows := max((count_in_table(users, subject.user_id) for users in kept if users.exists()), default=0):
        yield Trace(UserData(place="model", rows=rows, done=_TRAINING), partial(remove_folder, subject.folder.model))
        done = partial(_remove_training, subject.folder.training)
        yield Trace(UserData(place="training", rows=rows, done=_TRAINING), done, retrain=True)


def traces_of_dead_processes(subject: Subject) -> Iterator[Trace]:
    """Half-written files may hold anybody's rows. The locks of runs and uploads say that nobody is writing them."""
    root, left = subject.folder.root, {}
    for file in list_files(root):
        parts = file.name.split("/")
        hidden = next((n for n, part in enumerate(parts, start=1) if part.startswith(".")), None)
        if hidden is not None and parts[-1] not in _OURS and parts[0] != "upload_jobs":
            left["/".join(parts[:hidden])] = hidden < len(parts)
    if local_path(root) is not None:  # in an object store another machine may be writing one
        known = {upload.upload_id for upload in list_uploads(subject.db, subject.tenant)}
        stored = (root / "uploads").iterdir() if (root / "uploads").exists() else ()
        left |= {f"uploads/{path.name}": True for path in stored if path.is_dir() and path.name not in known}
    for name, is_folder in sorted(left.items()):
        remove = partial(remove_folder, root / name) if is_folder else partial((root / name).unlink, missing_ok=True)
        yield Trace(UserData(place=name, rows=0, done=_LEFT_BEHIND), remove)
    for folder in subject.folder.scratch.glob(".dbt-*"):
        shutil.rmtree(folder)
    ledger = list_event_exports(subject.db, subject.tenant)
    remove_unnamed_pieces(subject.folder.events, ledger, up_to=_ALL)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _remove_training(folder: UPath) -> None:
    for file in list_files(folder):
        if file.name != "users.parquet":
            (folder / file.name).unlink(missing_ok=True)
    remove_folder(folder)
