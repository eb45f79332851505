"""The stages that progress is measured by are those of the pipeline."""

from __future__ import annotations

from dagster import AssetKey, Definitions

from resources.training.progress import STAGES

IN_A_MOMENT = frozenset({"raw_uploads"})
"""Assets that take no time, and are no stage."""


def test_every_asset_of_a_run_is_a_stage_and_begins_after_what_it_depends_on(definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    def stage(key: AssetKey) -> str:
        return "features" if graph.get(key).group_name == "features" else key.path[-1]

    keys = graph.materializable_asset_keys
    assert {stage(key) for key in keys} == set(STAGES) | IN_A_MOMENT
    for key in keys:
        for parent in graph.get(key).parent_keys & keys:
            if not {stage(parent), stage(key)} & IN_A_MOMENT:
                assert STAGES[stage(parent)] <= STAGES[stage(key)], (parent, key)
