"""`recsaas office rotate-signing-key`: another key for access tokens."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from recsaas_assets.commands.console import Installation, command_actor, json_option, print_json, results
from resources.sessions.signing_keys import rotate_signing_key


@click.command("rotate-signing-key")
@click.option("--end-tokens", is_flag=True, help="End all access tokens: somebody may know a key.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rotate_signing_key_command(end_tokens: bool, yes: bool, as_json: bool) -> None:
    """Sign access tokens with a new key from now on. Earlier ones only check what they have signed.

    With --end-tokens they are removed: within 5 seconds every access token has ended, and clients get a new one by
    their refresh token. Sessions of browsers go on.
    """
    db = Installation().db
    if end_tokens and not yes:
        click.confirm("End all access tokens? Clients have to refresh theirs.", abort=True, err=True)
    with db.write() as session:
        made = rotate_signing_key(session, by=command_actor(), now=datetime.now(UTC), end_tokens=end_tokens)
    if as_json:
        print_json({"key": made, "ended_tokens": end_tokens})
        return
    results.print(f"Access tokens are signed by [bold]{made}[/] from now on.")
    if end_tokens:
        results.print("All earlier access tokens end within 5 seconds.")
