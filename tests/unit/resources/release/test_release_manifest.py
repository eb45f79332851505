import json

import pytest
from pydantic import ValidationError

from resources.base.errors import CorruptRelease
from resources.release.manifest import ManifestDraft, ReleaseFile, ReleaseManifest, ReleaseMetrics


@pytest.fixture
def manifest(draft: ManifestDraft) -> ReleaseManifest:
    files = (ReleaseFile(name="index.faiss", bytes=3, sha256="00"),)
    return ReleaseManifest.of(draft, version="20260102T030405Z-00000001", users=2, items=3, files=files)


def test_json_round_trip_keeps_every_field(manifest: ReleaseManifest) -> None:
    assert ReleaseManifest.from_json(manifest.to_json(), name="r") == manifest
    assert manifest.counts.model_dump() == {"users": 2, "items": 3, "interactions": 4}
    assert manifest.metrics.cohorts == {"cold": {"ndcg@10": None}}


def test_the_file_names_everything_the_contract_asks_for(manifest: ReleaseManifest) -> None:
    assert set(json.loads(manifest.to_json())) == {
        "format_version", "tenant", "version", "created_at", "algorithm", "uploads", "event_watermark",
        "item_watermark",
        "dbt_project_hash", "dbt_invocation_id", "training_set_fingerprint", "code_version", "hyperparameters", "seed",
        "taste_dimensions", "derived_from", "repeats", "bundles",
        "dagster_run_id", "metrics", "gate", "replaces", "index", "counts", "trained_at", "events_until", "files",
        "digest",
    }  # fmt: skip


def test_an_unknown_format_version_says_what_to_do(manifest: ReleaseManifest) -> None:
    newer = {**json.loads(manifest.to_json()), "format_version": 2}
    with pytest.raises(CorruptRelease, match=r"format version 2.*Upgrade recsaas"):
        ReleaseManifest.from_json(json.dumps(newer).encode(), name="release x")


def test_a_changed_number_is_noticed(manifest: ReleaseManifest) -> None:
    changed = manifest.to_json().replace(b"0.25", b"0.95")
    assert changed != manifest.to_json()
    with pytest.raises(CorruptRelease, match=r"manifest\.json of release x was changed"):
        ReleaseManifest.from_json(changed, name="release x")


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b"{}", b"null", b'{"format_version": 1}'])
def test_anything_else_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptRelease, match=r"manifest\.json of release x"):
        ReleaseManifest.from_json(data, name="release x")


def test_a_metric_that_is_not_a_number_must_be_said_as_none() -> None:
    with pytest.raises(ValidationError):
        ReleaseMetrics(overall={"ndcg@10": float("nan")})
