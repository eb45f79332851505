"""`recsaas member`: the people of a shop: list, invite, give a role, take out."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.markup import escape
from rich.table import Table
from sqlalchemy.orm import Session

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, notes, print_json, results
from resources.access.roles import TENANT_ROLES, tenant_role
from resources.base.errors import NotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow
from resources.control_db.tenants import get_tenant
from resources.people.invites import Invite, invite, list_invites
from resources.people.members import member_by_email, one_email
from resources.people.memberships import TeamMember, team_of
from resources.people.team import give_role, remove_from_team

ROLE = click.Choice((*TENANT_ROLES,))


@click.group()
def member() -> None:
    """List and invite the people of a shop, give them roles, take them out."""


@member.command("list")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def list_(tenant_id: TenantId, as_json: bool) -> None:
    """List who belongs to TENANT, and who is invited."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    with site.db.read() as session:
        team, invites = team_of(session, tenant_id), list_invites(session, tenant_id, datetime.now(UTC))
    if as_json:
        print_json(
            {
                "tenant": str(tenant_id),
                "members": [_fields(each) for each in team],
                "invites": [invite_fields(each) for each in invites],
            }
        )
        return
    table = Table("e-mail", "name", "role", "status", "second factor", "last seen")
    for each in team:
        seen = f"{each.last_login_at:%Y-%m-%d %H:%M}" if each.last_login_at else "never"
        factor = "yes" if each.second_factor else "no"
        table.add_row(escape(each.email), escape(each.name), each.role, each.status, factor, seen)
    for waiting in invites:
        table.add_row(escape(waiting.email), "", waiting.role, f"invited ({waiting.status})", "", "")
    results.print(table)


@member.command("invite")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("email")
@click.option("--role", type=ROLE, required=True, help="What the person may do there.")
@json_option
def invite_(tenant_id: TenantId, email: str, role: str, as_json: bool) -> None:
    """Invite EMAIL into TENANT: the running service mails a link, which is printed here as well.

    Whoever has the link can use it for a week: hand it over to nobody else.
    """
    site = Installation()
    with site.db.write() as session:
        made, link = invite(
            session,
            tenant_id,
            one_email(email),
            tenant_role(role),
            by=command_actor(),
            site_url=site.settings.site_url,
            now=datetime.now(UTC),
        )
    tell_invite(made, link, as_json, mails=bool(site.settings.smtp_url))


@member.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("email")
@click.argument("role", type=ROLE)
@json_option
def role(tenant_id: TenantId, email: str, role: str, as_json: bool) -> None:
    """Give EMAIL another ROLE in TENANT: within 5 seconds it holds everywhere."""
    site = Installation()
    with site.db.write() as session:
        found = _of_team(session, tenant_id, email)
        give_role(
            session,
            tenant_id,
            found.id,
            tenant_role(role),
            own="owner",
            by=command_actor(),
            now=datetime.now(UTC),
        )
    if as_json:
        print_json({"tenant": str(tenant_id), "id": found.id, "email": found.email, "role": role})
    else:
        results.print(f"{escape(found.email)} is {role} of tenant [bold]{tenant_id}[/].")


@member.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(tenant_id: TenantId, email: str, yes: bool, as_json: bool) -> None:
    """Take EMAIL out of TENANT: within 5 seconds nothing is open to them any more."""
    site = Installation()
    with site.db.read() as session:
        found = _of_team(session, tenant_id, email)
    if not yes:
        click.confirm(f"Take {found.email} out of tenant {tenant_id}?", abort=True, err=True)
    with site.db.write() as session:
        remove_from_team(session, tenant_id, found.id, own="owner", by=command_actor(), now=datetime.now(UTC))
    if as_json:
        print_json({"tenant": str(tenant_id), "id": found.id, "email": found.email})
    else:
        results.print(f"{escape(found.email)} does not belong to tenant [bold]{tenant_id}[/] any more.")


def find_member(session: Session, email: str) -> MemberRow:
    """Return the member with an address, as somebody writes it.

    Raises:
        NotFound: there is none.
    """
    found = member_by_email(session, one_email(email))
    if found is None:
        raise NotFound(f"Nobody has an account with the address {one_email(email)}; check how it is written.")
    return found


def tell_invite(made: Invite, link: str, as_json: bool, *, mails: bool) -> None:
    """Print an invitation with its link."""
    if as_json:
        print_json({**invite_fields(made), "link": link})
        return
    place = "the office" if made.tenant is None else f"tenant {made.tenant}"
    results.print(f"{escape(made.email)} is invited into {place} as {made.role}, until {made.expires_at:%Y-%m-%d}:\n")
    results.print(f"  {link}\n", soft_wrap=True, markup=False)
    if not mails:
        notes.print("No mail server is set up (RECSAAS_SMTP_URL): hand the link over yourself.")


def invite_fields(made: Invite) -> dict[str, object]:
    """Return what JSON says of an invitation."""
    return {
        "id": made.id,
        "tenant": None if made.tenant is None else str(made.tenant),
        "email": made.email,
        "role": made.role,
        "status": made.status,
        "invited_by": made.invited_by,
        "expires_at": made.expires_at.isoformat(),
    }


def _of_team(session: Session, tenant: TenantId, email: str) -> TeamMember:
    wanted = one_email(email)
    found = next((each for each in team_of(session, tenant) if each.email == wanted), None)
    if found is None:
        raise NotFound(f"{tenant} has no member {wanted}; `recsaas member list {tenant}` shows whom it has.")
    return found


def _fields(each: TeamMember) -> dict[str, object]:
    return {
        "id": each.id,
        "email": each.email,
        "name": each.name,
        "role": each.role,
        "status": each.status,
        "second_factor": each.second_factor,
        "since": each.since.isoformat(),
        "last_login_at": each.last_login_at.isoformat() if each.last_login_at else None,
    }
