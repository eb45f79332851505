"""`recsaas office`: who runs the platform: list, invite, take out, and help one who lost the second factor."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import Installation, command_actor, json_option, notes, print_json, results
from recsaas_assets.commands.tenants.member import find_member, invite_fields, tell_invite
from recsaas_assets.commands.tenants.signing_key import rotate_signing_key_command
from resources.access.roles import OFFICE_ROLES, office_role
from resources.people.invites import invite_to_office, list_invites
from resources.people.members import Member, one_email
from resources.people.office import list_office, remove_from_office
from resources.people.second_factor import remove_second_factor


@click.group()
def office() -> None:
    """List and invite the people who run the platform, take them out, help them in again."""


office.add_command(rotate_signing_key_command)


@office.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List who works for the platform, and who is invited to."""
    site = Installation()
    with site.db.read() as session:
        people, invites = list_office(session), list_invites(session, None, datetime.now(UTC))
    if as_json:
        print_json({"people": [_fields(each) for each in people], "invites": [invite_fields(each) for each in invites]})
        return
    if not people and not invites:
        notes.print("Nobody yet. Invite the first one: recsaas office invite EMAIL --role super_admin")
        return
    table = Table("e-mail", "name", "role", "status", "second factor", "last seen")
    for each in people:
        seen = f"{each.last_login_at:%Y-%m-%d %H:%M}" if each.last_login_at else "never"
        factor = "yes" if each.second_factor else "no"
        table.add_row(escape(each.email), escape(each.name), each.office_role, each.status, factor, seen)
    for waiting in invites:
        table.add_row(escape(waiting.email), "", waiting.role, f"invited ({waiting.status})", "", "")
    results.print(table)


@office.command()
@click.argument("email")
@click.option("--role", type=click.Choice((*OFFICE_ROLES,)), required=True, help="What the person may do.")
@json_option
def invite(email: str, role: str, as_json: bool) -> None:
    """Invite EMAIL to work for the platform: the running service mails a link, which is printed here as well.

    Whoever has the link can use it for a week: hand it over to nobody else.
    """
    site = Installation()
    with site.db.write() as session:
        made, link = invite_to_office(
            session,
            one_email(email),
            office_role(role),
            by=command_actor(),
            site_url=site.settings.site_url,
            now=datetime.now(UTC),
        )
    tell_invite(made, link, as_json, mails=bool(site.settings.smtp_url))


@office.command()
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(email: str, yes: bool, as_json: bool) -> None:
    """Take the role of the platform from EMAIL: within 5 seconds all that they have open ends."""
    site = Installation()
    with site.db.read() as session:
        found = Member.of(find_member(session, email))
    if not yes:
        click.confirm(f"Take {found.email} ({found.office_role}) out of the office?", abort=True, err=True)
    with site.db.write() as session:
        remove_from_office(session, found.id, by=command_actor(), now=datetime.now(UTC))
    if as_json:
        print_json({"id": found.id, "email": found.email, "office_role": None})
    else:
        results.print(f"{escape(found.email)} does not work for the platform any more.")


@office.command("reset-second-factor")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def reset_second_factor(email: str, yes: bool, as_json: bool) -> None:
    """Let EMAIL, of the office or of a shop, log in by password alone; a mail tells them, and what they have open ends.

    For somebody who has lost the authenticator and the recovery codes: make sure that it is them who ask.
    """
    site = Installation()
    with site.db.read() as session:
        found = Member.of(find_member(session, email))
    if not yes:
        click.confirm(f"Take the second factor of {found.email} away?", abort=True, err=True)
    with site.db.write() as session:
        remove_second_factor(session, found.id, by=command_actor(), now=datetime.now(UTC))
    if as_json:
        print_json({"id": found.id, "email": found.email, "second_factor": False})
    else:
        results.print(f"{escape(found.email)} logs in without a second factor, until they set one up again.")


def _fields(each: Member) -> dict[str, object]:
    return {
        "id": each.id,
        "email": each.email,
        "name": each.name,
        "office_role": each.office_role,
        "status": each.status,
        "second_factor": each.second_factor,
        "created_at": each.created_at.isoformat(),
        "last_login_at": each.last_login_at.isoformat() if each.last_login_at else None,
    }
