"""Sending a message as a client would: over the network, with STARTTLS and a password."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import make_msgid

import typer

from relay.accounts.credentials import LENT, Loan, Return, lend, take_back
from relay.accounts.passwords import generate_password, hash_password
from relay.accounts.scram import sealed_keys
from relay.accounts.users import Account
from relay.cli.asking import password_from_stdin
from relay.cli.checkups.ports import place_of
from relay.cli.desk import Desk
from relay.cli.faults import FAILED, TRY_LATER, UNAVAILABLE, Failed
from relay.config import Config, TlsMode
from relay.mail.address import Address, BadAddress
from relay.places import host_and_port
from relay.queue.browse import story
from relay.routing.soundness import is_this_machine

_PATIENCE_SECONDS = 20
_LOAN = timedelta(minutes=5)
_QUEUE_ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")
_POLL_SECONDS = 0.2
_LOGGED_IN = 235


@dataclass(frozen=True, slots=True)
class Door:
    """Where to submit."""

    host: str
    port: int
    is_implicit: bool


def letter_of(account: Account, to: str, sender: str | None, now: datetime) -> EmailMessage:
    """A short message from *sender*, or from one whom the user may send as."""
    if not account.profile.is_active:
        raise Failed(f'"{account.name}" may not log in: "relay user enable {account.name}" first.')
    letter = EmailMessage()
    letter["From"] = sender or _one_granted(account)
    letter["To"] = to
    for option, address in (("--from", letter["From"]), ("--to", to)):
        try:
            Address.parse(str(address))
        except BadAddress as fault:
            raise typer.BadParameter(
                f'"{address}" is no e-mail address: {fault}.', param_hint=option
            ) from None
    letter["Date"] = now
    letter["Subject"] = "Test of the relay"
    letter["Message-ID"] = make_msgid(domain=str(letter["From"]).rpartition("@")[2])
    letter.set_content(
        f'This is a test, sent as the user "{account.name}". If you can read it, the relay delivers mail.\n'
    )
    return letter


def _one_granted(account: Account) -> str:
    patterns = account.profile.patterns
    own = next((p for p in patterns if "@" in p), None)
    domain = next((p for p in patterns if "@" not in p and not p.startswith("*.")), None)
    if own or domain:
        return own or f"relay-test@{domain}"
    parent = next((p.removeprefix("*.") for p in patterns), None)
    if parent:
        return f"relay-test@test.{parent}"
    raise Failed(f'"{account.name}" may send as nobody: grant something first with "relay user edit".')


def door_of(config: Config, host: str | None, port: int | None) -> Door:
    """The door that was named, or the first listener of ours where one can log in."""
    for listener in config.listeners:
        where, number = place_of(listener)
        if port is not None and port not in listener.port_numbers():
            continue
        if port is None and (number == 0 or listener.tls is TlsMode.NONE):
            continue
        return Door(host or where, port or number, listener.tls is TlsMode.IMPLICIT)
    if port is None:
        raise typer.BadParameter("the configuration names no port to log in at.", param_hint="--port")
    return Door(host or "127.0.0.1", port, port == smtplib.SMTP_SSL_PORT)


@contextmanager
def password_for(desk: Desk, account: Account, *, is_given: bool) -> Iterator[str]:
    """The password given, or one that is made for this and good for minutes at most."""
    if is_given:
        yield password_from_stdin()
        return
    password = generate_password()
    returned = Return(desk.author, account.name, LENT)
    desk.write(take_back, returned)  # one that a killed command left behind
    until = desk.now + _LOAN
    keys = sealed_keys(account.name, password, desk.sealer)
    desk.write(lend, Loan(desk.author, account.name, LENT, hash_password(password), until, keys))
    try:
        yield password
    finally:
        desk.write(take_back, returned)


def submit(door: Door, user: str, password: str, letter: EmailMessage) -> str:
    """Send *letter* and return the id that the relay gave it.  Raises Failed with the relay's own words."""
    try:
        with _connect(door) as client:
            _log_in(client, user, password)
            return _transaction(client, letter)
    except smtplib.SMTPAuthenticationError as refusal:
        raise Failed(f"The relay refused the login of {user}: {_words(refusal)}") from None
    except smtplib.SMTPResponseException as refusal:
        code = TRY_LATER if 400 <= refusal.smtp_code < 500 else FAILED
        raise Failed(f"The relay refused: {_words(refusal)}", code) from None
    except ssl.SSLCertVerificationError as fault:
        raise Failed(f"The certificate of {door.host} cannot be verified: {fault.verify_message}.") from None
    except (OSError, smtplib.SMTPException) as fault:
        raise Failed(
            f'No relay answers at {host_and_port(door.host, door.port)} ({fault}); is "relay serve" running?',
            UNAVAILABLE,
        ) from None


def _connect(door: Door) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if is_this_machine(door.host):
        # On this machine nobody can pose as the relay who could not read its key, too.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if door.is_implicit:
        return smtplib.SMTP_SSL(door.host, door.port, timeout=_PATIENCE_SECONDS, context=context)
    client = smtplib.SMTP(door.host, door.port, timeout=_PATIENCE_SECONDS)
    client.starttls(context=context)
    return client


def _log_in(client: smtplib.SMTP, user: str, password: str) -> None:
    """Say who we are by PLAIN, in UTF-8 (RFC 4616): the library's own login knows no letter beyond ASCII."""
    client.ehlo()
    said = b64encode(f"\0{user}\0{password}".encode()).decode()
    code, answer = client.docmd("AUTH", f"PLAIN {said}")
    if code != _LOGGED_IN:
        raise smtplib.SMTPAuthenticationError(code, answer)


def _transaction(client: smtplib.SMTP, letter: EmailMessage) -> str:
    sender, to = str(letter["From"]), str(letter["To"])
    is_plain = sender.isascii() and to.isascii()
    _taken(client.mail(sender, [] if is_plain else ["SMTPUTF8"]))
    _taken(client.rcpt(to))
    said = _taken(client.data(letter.as_bytes(policy=SMTP if is_plain else SMTPUTF8)))
    found = _QUEUE_ID.search(said)
    if found is None:
        raise Failed(f"The message was taken, but not by this relay: {said}")
    return found[0]


def _taken(answer: tuple[int, bytes]) -> str:
    """What the relay said, if it agreed.  Raises SMTPResponseException if not."""
    code, said = answer
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, said)
    return said.decode("utf-8", "replace")


def _words(refusal: smtplib.SMTPResponseException) -> str:
    said = refusal.smtp_error
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{refusal.smtp_code} {' '.join(text.split())}"


def wait_for_end(desk: Desk, message_id: str, *, seconds: float) -> None:
    """Wait until every recipient has its end, or the first attempt came to none; *seconds* at most."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        found = desk.read(story, message_id)
        if found is None:
            raise Failed(f"The message was taken as {message_id}, but by a relay with another database.")
        if found.is_finished or all(part.attempts for part in found.parts):
            return
        time.sleep(_POLL_SECONDS)
