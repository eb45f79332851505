"""`recsaas up`: Dagster and the service, until Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from recsaas_assets.commands.console import Installation, notes, results
from recsaas_assets.features.background_docs import docs_in_background
from recsaas_assets.platform.processes import Addresses, running_platform
from resources.base.errors import TenantNotFound
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant

SAMPLE = TenantId("sample")
"""The tenant of the invented shop that `recsaas demo` makes."""


@click.command()
def up() -> None:
    """Start the Dagster UI, its daemon and the service, and run them until Ctrl-C."""
    site = Installation()
    _ = site.db  # a problem with the control DB shall show here, not in four logs
    notes.print(f"Starting Dagster and the service on {site.settings.home} (about ten seconds) …")
    with stoppable(), running_platform(with_sample_shop(site), say) as (supervisor, addresses):
        show_addresses(addresses)
        notes.print("Press Ctrl-C to stop everything.")
        with docs_in_background(site.settings):
            supervisor.wait()


def with_sample_shop(site: Installation) -> Settings:
    """The settings, with the demo shop where `recsaas demo` has made its tenant and no other one is named."""
    if site.settings.demo_tenant or not (site.settings.home / SAMPLE.value).is_dir():
        return site.settings
    try:
        get_tenant(site.db, SAMPLE)
    except TenantNotFound:
        return site.settings
    return site.settings.model_copy(update={"demo_tenant": SAMPLE.value})


def say(line: str) -> None:
    """Print what happens to a running platform; a program's own words have no markup."""
    notes.print(line, markup=False)


def show_addresses(addresses: Addresses) -> None:
    """Print where to go."""
    results.print(f"  Dagster UI      {addresses.dagster}")
    results.print(f"  Service         {addresses.service}")
    if addresses.shop is not None:
        results.print(f"  Demo shop       {addresses.shop}")
    results.print(f"  API page        {addresses.service}/docs")
    results.print(f"  Data docs       {addresses.service}/data-docs")


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into an orderly end with exit code 0."""

    def stop(_number: int, _frame: object) -> None:
        # One is enough: a second one must not interrupt the stopping.
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    # Also SIGINT: a shell that starts us in the background would have it ignored.
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        notes.print("Stopped.")
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
