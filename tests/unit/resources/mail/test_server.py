"""The mail server that a setting names: reading the setting, and handing mails over to a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.base.errors import ConfigurationError
from resources.mail.server import AddressRefused, MailServer, MailServerError, message_of
from tests.mail.server import PASSWORD, REFUSED, USER, free_port, mail_server, make_certificate

SECRET = "p%40ss%20word%2F1"
"""`PASSWORD` as it stands in an address."""


def a_mail(recipient: str = "jane@example.com", subject: str = "Grüße", sender: str = "Shop <shop@example.com>"):  # type: ignore[no-untyped-def]
    return message_of(mail_id="mail-1", sender=sender, recipient=recipient, subject=subject, body="Übermorgen\n")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("smtp://127.0.0.1", ("127.0.0.1", 25, "none", None, "recsaas@127.0.0.1")),
        ("smtp://mail.example.com", ("mail.example.com", 25, "by STARTTLS", None, "recsaas@mail.example.com")),
        (
            "smtp://mail.example.com:587/?starttls=no",
            ("mail.example.com", 587, "none", None, "recsaas@mail.example.com"),
        ),
        (
            f"smtps://me%40example.com:{SECRET}@mail.example.com/?from=Shop%20<a@example.com>",
            ("mail.example.com", 465, "from the beginning", "me@example.com", "Shop <a@example.com>"),
        ),
    ],
)
def test_the_setting_is_read(url: str, found: tuple[object, ...]) -> None:
    server = MailServer.parse(url)
    assert (server.host, server.port, server.encryption, server.user, server.sender) == found
    assert PASSWORD not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:x",
        "smtp://mail.example.com:99999",
        "smtp://mail.example.com/folder",
        "smtp://mail.example.com/?form=a@example.com",
        "smtp://mail.example.com/?starttls=maybe",
        "smtp://mail.example.com/?from=nobody",
        f"smtp://user:{SECRET}@mail.example.com/?starttls=no",
    ],
)
def test_a_setting_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="RECSAAS_SMTP_URL") as refused:
        MailServer.parse(url)
    assert SECRET not in str(refused.value)


def test_a_recipient_or_subject_that_no_mail_can_have_is_refused() -> None:
    for recipient in ("", "nobody", "a@b\nBcc: c@d"):
        with pytest.raises(ValueError, match=r"."):
            a_mail(recipient)
    with pytest.raises(ValueError, match=r"."):
        a_mail(subject="x\nBcc: other@example.com")


@pytest.mark.e2e
def test_a_mail_goes_out_in_the_clear_on_this_machine(tmp_path: Path) -> None:
    with mail_server(tmp_path / "mails") as running:
        server = MailServer.parse(f"smtp://127.0.0.1:{running.port}/?from=Shop%20<shop@example.com>")
        assert "encryption none, without a log-in" in server.check()
        server.send(a_mail("jösé@example.com"))
        (mail,) = running.mails()
    assert (mail["From"], mail["To"], mail["Subject"]) == ("Shop <shop@example.com>", "jösé@example.com", "Grüße")
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == ("<mail-1@example.com>", "auto-generated")
    assert mail.get_content().splitlines() == ["Übermorgen"]


@pytest.mark.e2e
@pytest.mark.parametrize(("kind", "scheme"), [("starttls", "smtp"), ("tls", "smtps")])
def test_a_mail_goes_out_encrypted_to_a_server_that_is_trusted(tmp_path: Path, kind: str, scheme: str) -> None:
    certificate, _ = make_certificate(tmp_path)
    with mail_server(tmp_path / "mails", kind, login=kind == "starttls") as running:
        known = f"{USER}:{SECRET}@" if kind == "starttls" else ""
        url = f"{scheme}://{known}127.0.0.1:{running.port}/?starttls=yes"
        server = MailServer.parse(f"{url}&ca={certificate}")
        assert ("logged in" if known else "without a log-in") in server.check()
        server.send(a_mail())
        assert len(running.mails()) == 1
        with pytest.raises(MailServerError, match="certificate"):
            MailServer.parse(url).send(a_mail())
        if known:
            with pytest.raises(MailServerError, match="user and password") as refused:
                MailServer.parse(f"{url}&ca={certificate}".replace(SECRET, "wrong-secret")).send(a_mail())
            assert "wrong-secret" not in str(refused.value)
        assert len(running.mails()) == 1


@pytest.mark.e2e
def test_a_server_without_starttls_gets_nothing_where_it_is_demanded(tmp_path: Path) -> None:
    with mail_server(tmp_path / "mails") as running:
        server = MailServer.parse(f"smtp://127.0.0.1:{running.port}/?starttls=yes")
        with pytest.raises(MailServerError, match="STARTTLS"):
            server.send(a_mail())
        assert running.mails() == []


@pytest.mark.e2e
def test_an_address_that_is_refused_is_told_from_a_server_that_is_away(tmp_path: Path) -> None:
    with mail_server(tmp_path / "mails") as running, pytest.raises(AddressRefused, match=r"550 5\.1\.1 nobody"):
        MailServer.parse(f"smtp://127.0.0.1:{running.port}").send(a_mail(REFUSED))
    with pytest.raises(MailServerError, match="cannot be used"):
        MailServer.parse(f"smtp://127.0.0.1:{free_port()}").send(a_mail())
    with pytest.raises(MailServerError, match="cannot be used"):
        MailServer.parse(f"smtps://127.0.0.1:{free_port()}/?ca=/no/such/file").check()
