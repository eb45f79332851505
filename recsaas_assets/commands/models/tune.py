"""`recsaas tune`: look for better hyper-parameters for a tenant, at once and in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, json_option, notes, print_json, results
from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.stores.locks import run_lock

if TYPE_CHECKING:
    from recsaas_assets.recommender.lightgcn.trainer import EpochProgress
    from recsaas_assets.recommender.search.search_result import SearchResult, Study, Trial

_SHOWN_TRIALS = 10
_WAIT_SECONDS = 60.0


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option(
    "--trials", type=click.IntRange(1, 10_000), help="Configurations to try; if left out, as the tenant has set."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Time for all of them together; if left out, as the tenant has set.",
)
@click.option("--forget", is_flag=True, help="Drop what earlier searches found: runs start from the defaults again.")
@json_option
def tune(tenant_id: TenantId, trials: int | None, minutes: float | None, forget: bool, as_json: bool) -> None:
    """Search better hyper-parameters for TENANT on its validation period; the runs that follow train with them."""
    from recsaas_assets.recommender.search import search_result

    site = Installation()
    settings = get_tenant(site.db, tenant_id).settings.training
    lake = site.lake.tenant(tenant_id)
    with run_lock(site.db, site.settings.home, tenant_id, wait_seconds=_WAIT_SECONDS, on_wait=notes.print):
        if forget:
            known = search_result.forget(lake.search)
            if as_json:
                print_json({"tenant": str(tenant_id), "forgotten": known})
            else:
                results.print("Forgotten. Runs start from the defaults again." if known else "Nothing was stored.")
            return
        import torch

        from recsaas_assets.recommender.data.dataset import TrainingSet
        from recsaas_assets.recommender.search.search import Budget
        from recsaas_assets.recommender.search.tuning import tune as run_search

        if site.settings.training_threads:
            torch.set_num_threads(site.settings.training_threads)
        budget = Budget(trials or settings.search_trials, minutes or settings.search_minutes)
        data = TrainingSet.load(lake.training)
        notes.print(
            f"Searching for tenant {tenant_id}: up to {budget.trials} trials in {budget.minutes:g} minutes; those of "
            "an interrupted search count. Ctrl-C keeps what is finished; the same command goes on."
        )
        with notes.status("loading") as status:

            def on_epoch(number: int, progress: EpochProgress) -> None:
                status.update(f"trial {number}: epoch {progress.epoch} of {progress.total}")

            try:
                result, study = run_search(lake, data, settings, budget, on_trial=_say, on_epoch=on_epoch)
            except InvalidInput as error:
                raise InvalidInput(f"Tenant {tenant_id}: {error.message}", details=error.details) from error
    if as_json:
        print_json(
            {
                "tenant": str(tenant_id),
                **result.model_dump(mode="json"),
                "all_trials": [trial.model_dump(mode="json", exclude={"looks"}) for trial in study.trials],
            }
        )
    else:
        _show(result, study, tenant_id)


def _say(trial: Trial, study: Study) -> None:
    value = trial.state if trial.ndcg_at_10 is None else f"{trial.ndcg_at_10:.4f}"
    best = study.best()
    notes.print(f"  trial {trial.number:<4} {value:>9}   best {best.ndcg_at_10:.4f} (trial {best.number})")


def _show(result: SearchResult, study: Study, tenant: TenantId) -> None:
    from recsaas_assets.recommender.search.search_report import HEADER, rows

    table = Table(*HEADER)
    for row in rows(study, limit=_SHOWN_TRIALS):
        table.add_row(*row)
    results.print(table)
    before = f"{result.default_ndcg_at_10:.4f}"
    if result.hyperparameters:
        results.print(f"Validation NDCG@10 {result.ndcg_at_10:.4f} instead of {before}.")
        results.print(f"The next run trains with it: recsaas run {tenant} --from training")
    elif result.best_seen_ndcg_at_10 > result.default_ndcg_at_10:
        results.print(
            f"The best trial had {result.best_seen_ndcg_at_10:.4f} on validation instead of {before}, which may be "
            f"luck: it is not three standard errors ahead, user by user. Tenant {tenant} keeps what it had."
        )
    else:
        results.print(f"Nothing was better than what tenant {tenant} had: {before} on validation.")
