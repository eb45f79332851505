"""The code location: every asset, check, job, sensor and resource of the platform."""

from dagster import Definitions, in_process_executor

from recsaas_assets.defs.common.jobs import tenant_pipeline
from recsaas_assets.defs.data.event_sensors import event_export, pending_erasures
from recsaas_assets.defs.data.features import features
from recsaas_assets.defs.data.raw import raw_interactions, raw_items, raw_uploads, raw_users, tracked_events
from recsaas_assets.defs.models.search import hyperparameter_search
from recsaas_assets.defs.models.second_stage import second_stage_model
from recsaas_assets.defs.models.training import evaluation, lightgcn_model, training_set
from recsaas_assets.defs.models.two_tower import training_features, two_tower_model
from recsaas_assets.defs.release.checks import (
    data_quality_checks,
    gate_checks,
    live_release_is_intact,
    training_set_is_valid,
    training_set_matches_interaction_weights,
)
from recsaas_assets.defs.release.serving import faiss_index, release
from recsaas_assets.defs.runs.sensors import (
    dead_runs,
    misplaced_files,
    new_uploads,
    record_cancelled_runs,
    record_failed_runs,
    record_finished_runs,
    tenant_mirror,
)
from recsaas_assets.defs.runs.training_sensor import training_jobs
from resources.dagster_resources import PlatformResource, TenantRunResource
from resources.processes.process import begin_process

begin_process()  # whoever loads this: the code server, a run, `dagster dev`

platform = PlatformResource()

defs = Definitions(
    assets=[
        tracked_events,
        raw_items,
        raw_users,
        raw_interactions,
        raw_uploads,
        features,
        training_set,
        training_features,
        hyperparameter_search,
        lightgcn_model,
        two_tower_model,
        second_stage_model,
        evaluation,
        faiss_index,
        release,
    ],
    asset_checks=[
        data_quality_checks,
        training_set_is_valid,
        training_set_matches_interaction_weights,
        gate_checks,
        live_release_is_intact,
    ],
    jobs=[tenant_pipeline],
    sensors=[
        tenant_mirror,
        new_uploads,
        misplaced_files,
        training_jobs,
        event_export,
        pending_erasures,
        dead_runs,
        record_failed_runs,
        record_finished_runs,
        record_cancelled_runs,
    ],
    resources={"platform": platform, "tenant_run": TenantRunResource(platform=platform)},
    # One process per run: a step costs milliseconds instead of seconds, and the tenant's lock is held throughout.
    executor=in_process_executor,
)
