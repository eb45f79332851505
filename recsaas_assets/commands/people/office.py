"""`recsaas office`: who works for the platform, and the keys that sign what people log in with."""

from __future__ import annotations

import click

from recsaas_assets.commands.people.signing_key import rotate_signing_key_command


@click.group()
def office() -> None:
    """Who works for the platform, and the keys that sign their tokens."""


office.add_command(rotate_signing_key_command)
