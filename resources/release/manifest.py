"""The manifest: what a release is made of, where it came from, and how good it measured.

The JSON file carries its own digest, so that a changed character is noticed although the manifest lists the checksums
of every other file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from resources.base.errors import CorruptRelease

FORMAT_VERSION = 1

Algorithm = Literal["lightgcn", "two_tower", "sequence", "item_knn", "ease", "popularity"]
"""What can answer: a model of vectors (the first three), of an item table (the next two), or popularity."""

TABLE_ALGORITHMS: frozenset[Algorithm] = frozenset(("item_knn", "ease"))
"""Those that answer from the item table of the release."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
MetricTable = dict[str, Finite | None]
"""Metric name (`ndcg@10`) to value; `None` where the metric is not defined, such as for a cohort without users."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UploadReference(_Frozen):
    """One upload that the release was built from; `rows` counts the accepted ones."""

    id: str
    kind: str
    sha256: str
    rows: int = Field(ge=0)


class ReleaseMetrics(_Frozen):
    """Offline metrics on the holdout; the whole report is `evaluation.json` beside the manifest."""

    overall: MetricTable = {}
    cohorts: dict[str, MetricTable] = {}
    baselines: dict[str, MetricTable] = {}
    second_stage: MetricTable = {}
    """As `overall`, in the order of the second stage that the release has; empty without one."""
    against_replaced: MetricTable = {}
    """This model minus that of the release it replaces, on the same holdout; empty when they were not compared."""


class GateDecision(_Frozen):
    """Whether the evaluation allows this release to go live, and why (not).

    `skipped`: nobody could be evaluated. A release that goes live although it was refused says so in the history of
    the pointer, with who and why; the manifest stays what the gate found.
    """

    outcome: Literal["passed", "refused", "skipped"]
    reasons: tuple[str, ...] = ()


BundleEvidence = Literal["purchases", "carts", "choices"]
"""What a basket is made of: purchases; those and carts; those, ratings and likes."""


class BundleFigures(_Frozen):
    """The table of items that go together: from how many baskets of two items or more, and how many pairs it has."""

    evidence: BundleEvidence
    baskets: int = Field(ge=0)
    pairs: int = Field(ge=0)


class IndexInfo(_Frozen):
    """The retrieval index: its type, its parameters and its recall@20 measured against exact search."""

    type: Literal["flat_ip", "hnsw_ip", "ivf_ip"]
    parameters: dict[str, int] = {}
    recall: float = Field(ge=0, le=1)


class RepeatCurve(_Frozen):
    """When an item that a user has bought comes again; see `resources.ranker.retrieval.repeats` for what is made of it.

    `age`, `overdue` and `early` are log odds for each unit of the terms of time, `slope` those for each unit of the
    logarithm of a new item's place, and before `earliest_days` have passed nothing comes again. `purchases`: only a
    purchase is one, and not any interaction. `figures` are NDCG@10 on the test period, repeats counted, `with_repeats`
    and `without_repeats`.
    """

    age: Finite
    overdue: Finite
    early: Finite
    slope: Annotated[float, Field(le=0, allow_inf_nan=False)]
    earliest_days: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    purchases: bool = True
    figures: MetricTable = {}


class ReleaseCounts(_Frozen):
    """Users and items the release knows, and interactions it was trained on."""

    users: int = Field(ge=0)
    items: int = Field(ge=0)
    interactions: int = Field(ge=0)


class ReleaseFile(_Frozen):
    """One file of the release directory."""

    name: str
    bytes: int = Field(ge=0)
    sha256: str


class Derivation(_Frozen):
    """The release that this one is a copy of, without one user, and the erasure that asked for it."""

    release: str
    erasure: str


class _Provenance(_Frozen):
    tenant: str
    created_at: AwareDatetime
    algorithm: Algorithm
    """What the release serves; `popularity` when there is no model that deserves it."""
    uploads: tuple[UploadReference, ...] = ()
    event_watermark: int = Field(default=0, ge=0)
    """Sequence number of the newest tracked event that the release has seen."""
    item_watermark: int = Field(default=0, ge=0)
    """Number of the newest change of an item by API that the release has seen; later ones are laid over it."""
    dbt_project_hash: str
    dbt_invocation_id: str
    training_set_fingerprint: str
    code_version: str
    hyperparameters: dict[str, JsonValue] = {}
    taste_dimensions: int | None = Field(default=None, ge=0)
    """Leading coordinates of the vectors that were learned; the rest hold popularity. `None`: all were."""
    repeats: RepeatCurve | None = None
    """What was learned of repeat purchases; `None` where it was measured that they should not come again."""
    seed: int
    dagster_run_id: str
    metrics: ReleaseMetrics = ReleaseMetrics()
    gate: GateDecision
    replaces: str | None = None
    """Version that was live when this release was made."""
    index: IndexInfo
    trained_at: AwareDatetime
    events_until: AwareDatetime | None
    """Time of the newest interaction in the training data; `None` when there is none."""
    derived_from: Derivation | None = None
    bundles: BundleFigures | None = None
    """Of the table of items that go together; `None`: the release has none."""


class ManifestDraft(_Provenance):
    """Everything that the writer of a release must say; the store adds the version, the counts and the files."""

    interactions: int = Field(ge=0)


class ReleaseManifest(_Provenance):
    """`manifest.json` of one release."""

    format_version: Literal[1] = 1
    version: str
    counts: ReleaseCounts
    files: tuple[ReleaseFile, ...]

    @classmethod
    def of(
        cls, draft: ManifestDraft, *, version: str, users: int, items: int, files: tuple[ReleaseFile, ...]
    ) -> ReleaseManifest:
        """Complete `draft`."""
        fields = draft.model_dump(exclude={"interactions"})
        counts = ReleaseCounts(users=users, items=items, interactions=draft.interactions)
        return cls(**fields, version=version, counts=counts, files=files)

    def draft(self) -> ManifestDraft:
        """Return what the writer of a copy has to say."""
        fields = self.model_dump(include=set(_Provenance.model_fields))
        return ManifestDraft(**fields, interactions=self.counts.interactions)

    def to_json(self) -> bytes:
        """Return the file's bytes, digest included."""
        fields = self.model_dump(mode="json")
        fields["digest"] = _digest(fields)
        return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, *, name: str) -> ReleaseManifest:
        """Read the file's bytes; `name` says in messages which release it is.

        Raises:
            CorruptRelease: not a manifest, changed since it was written, or of a format this version cannot read.
        """
        try:
            fields = json.loads(data)
        except ValueError as error:
            raise CorruptRelease(f"manifest.json of {name} is not readable JSON. {_NEXT_STEP}") from error
        if not isinstance(fields, dict):
            raise CorruptRelease(f"manifest.json of {name} is not a JSON object. {_NEXT_STEP}")
        if fields.get("format_version") != FORMAT_VERSION:
            raise CorruptRelease(
                f"manifest.json of {name} has format version {str(fields.get('format_version'))[:20]}, and this "
                f"recsaas reads version {FORMAT_VERSION}. Upgrade recsaas, or build the release again with this one."
            )
        if fields.pop("digest", None) != _digest(fields):
            raise CorruptRelease(f"manifest.json of {name} was changed after it was written. {_NEXT_STEP}")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(str(part) for part in problem["loc"])
            raise CorruptRelease(f"manifest.json of {name}: {place}: {problem['msg']}. {_NEXT_STEP}") from error


_NEXT_STEP = "Promote another release, or run the tenant's pipeline again."


def _digest(fields: dict[str, Any]) -> str:
    """Digest of the parsed JSON, so that it does not depend on how a library version formats it."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
