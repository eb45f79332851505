"""What was learned of repeats, kept between the assets of a run, and as a part of a release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.evaluation.report import DECIDING, RepeatVerdict
from recsaas_assets.recommender.repeats.chances import RepeatModel
from recsaas_assets.recommender.repeats.learning import RepeatFindings
from recsaas_assets.recommender.repeats.purchases import Bought, histories_before
from resources.base.errors import CorruptArtifact
from resources.release.contents import ReleaseContents
from resources.release.manifest import RepeatCurve
from resources.storage.lake import read_json, write_json

_FILE = "repeats.json"


def save_findings(findings: RepeatFindings, directory: UPath, *, model_digest: str) -> None:
    """Write the verdict and the coefficients; no user is in them."""
    model = findings.model
    document: dict[str, Any] = {
        "model_digest": model_digest,
        "verdict": findings.verdict.model_dump(mode="json"),
        "coefficients": None
        if model is None
        else {
            "again": model.again.tolist(),
            "new": model.new.tolist(),
            "earliest_days": model.earliest_days,
            "purchases": model.purchases,
        },
    }
    write_json(directory / _FILE, document)


def load_findings(directory: UPath, *, model_digest: str) -> RepeatFindings:
    """Read what `save_findings` wrote; of a model from before repeats were measured there is nothing, and none come.

    Raises:
        CorruptArtifact: it is damaged, or was measured with another model.
    """
    if not (directory / _FILE).exists():
        before = "Seen items stay out: this model was trained before repeats were measured."
        return RepeatFindings(RepeatVerdict(come_again=False, reason=before))
    document = read_json(directory / _FILE)
    try:
        kept, verdict = document["model_digest"], RepeatVerdict.model_validate(document["verdict"])
        found = document["coefficients"]
        model = None
        if found is not None:
            again, new = (np.array(found[name], dtype=np.float64) for name in ("again", "new"))
            model = RepeatModel(again, new, float(found["earliest_days"]), bool(found["purchases"]))
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise CorruptArtifact(f"{_FILE} is damaged; materialise repeat_purchases again.") from error
    if kept != model_digest:
        raise CorruptArtifact(
            "What was learned of repeats belongs to another model; materialise repeat_purchases again."
        )
    return RepeatFindings(verdict, model)


def released_curve(findings: RepeatFindings) -> RepeatCurve | None:
    """What the manifest says; None where seen items stay out."""
    if not findings.verdict.come_again or findings.model is None:
        return None
    figures = {name: lists.get(DECIDING) for name, lists in findings.verdict.lists.items()}
    return findings.model.curve.model_copy(update={"figures": figures})


def with_released_repeats(
    contents: ReleaseContents, findings: RepeatFindings, bought: Bought, training_set: TrainingSet
) -> ReleaseContents:
    """Add when each seen item comes again, if any does; else the contents stay as they are."""
    if released_curve(findings) is None or findings.model is None:
        return contents
    n_items = training_set.n_items
    history = histories_before(bought, training_set.full, n_items, bought.end)
    users = np.repeat(np.arange(training_set.n_users), np.diff(contents.seen_indptr))
    keys, known = users * n_items + contents.seen_items, history.keys(n_items)
    columns = np.zeros((len(keys), 3), dtype=np.float32)
    if len(known):
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        found = known[places] == keys
        columns[found] = findings.model.columns(history)[places[found]]
    return replace(contents, repeats=columns)
