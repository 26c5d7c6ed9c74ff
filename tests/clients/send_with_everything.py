"""Send through a relay of its own with every mail client on this machine, and print what came of it.

    ./run clients             (or: .venv/bin/python tests/clients/send_with_everything.py)

Each client sends one message through STARTTLS and one through TLS from the first byte, logged in.  What
is not installed is left out, and said; nodemailer is fetched into a temporary folder.
Ends with 1 if a client that is there could not send.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # run by hand, this script sees only its own folder

from tests.kit.node import BASIC, Node  # noqa: E402  see the line above

LISTENERS = """
[[listeners]]
name = "submission"
address = "127.0.0.1"
ports = ["0"]
tls = "starttls-required"

[[listeners]]
name = "submissions"
address = "127.0.0.1"
ports = ["0"]
tls = "implicit"
"""
LOGIN, TO = "demo@relay.test", "you@example.com"
LETTER = f"From: {LOGIN}\nTo: {TO}\nSubject: Hello\n\nHello\n"
SECONDS = 60
FETCH_SECONDS = 300


@dataclass(frozen=True)
class Way:
    """How to the relay: `tls` is `starttls` or `implicit`; its certificate, and a folder to work in."""

    tls: str
    port: int
    password: str
    certificate: Path
    scratch: Path

    @property
    def is_implicit(self) -> bool:
        return self.tls == "implicit"

    def url(self, *, with_password: bool) -> str:
        scheme = "smtps" if self.is_implicit else "smtp"
        secret = f":{quote(self.password)}" if with_password else ""
        return f"{scheme}://{quote(LOGIN, safe='')}{secret}@127.0.0.1:{self.port}"


class NotHere(Exception):
    """The client is not on this machine; the message says what is missing."""


Words = list[str]


def program(name: str) -> str:
    if found := shutil.which(name):
        return found
    raise NotHere(f"{name} is not installed")


def swaks(way: Way) -> Words:
    tls = "--tls-on-connect" if way.is_implicit else "--tls"
    login = ["--auth", "PLAIN", "--auth-user", LOGIN, "--auth-password", way.password]
    where = ["--server", "127.0.0.1", "--port", str(way.port)]
    return [program("swaks"), *where, tls, *login, "--from", LOGIN, "--to", TO]


def curl(way: Way) -> Words:
    url = way.url(with_password=False).replace(f"{quote(LOGIN, safe='')}@", "")
    words = ["-sS", "--insecure", "--ssl-reqd", "--url", url, "--user", f"{LOGIN}:{way.password}"]
    return [program("curl"), *words, "--mail-from", LOGIN, "--mail-rcpt", TO, "--upload-file", "-"]


def msmtp(way: Way) -> Words:
    tls = ["--tls=on", f"--tls-starttls={'off' if way.is_implicit else 'on'}", "--tls-certcheck=off"]
    login = ["--auth=plain", f"--user={LOGIN}", f"--passwordeval=echo {way.password}"]
    return [program("msmtp"), "--host=127.0.0.1", f"--port={way.port}", *tls, *login, f"--from={LOGIN}", TO]


def s_nail(way: Way) -> Words:
    settings = ["v15-compat", f"mta={way.url(with_password=True)}", "smtp-auth=plain", "tls-verify=ignore"]
    settings += ["sendwait", f"from={LOGIN}", *([] if way.is_implicit else ["smtp-use-starttls"])]
    said = [word for setting in settings for word in ("-S", setting)]
    return [program("s-nail"), "-:/", *said, "-s", "Hello", TO]


def mutt(name: str) -> Callable[[Way], Words]:
    def words(way: Way) -> Words:
        settings = {
            "smtp_url": way.url(with_password=False),
            "smtp_pass": way.password,
            "from": LOGIN,
            "use_from": "yes",
            "copy": "no",
            "ssl_force_tls": "yes",
            "ssl_starttls": "yes",
            "ssl_verify_host": "no",
            "certificate_file": str(way.certificate),
        }
        said = [word for key, value in settings.items() for word in ("-e", f'set {key}="{value}"')]
        return [program(name), "-n", "-F", "/dev/null", *said, "-s", "Hello", "--", TO]

    return words


def script(interpreter: str, name: str) -> Callable[[Way], Words]:
    return lambda _way: [program(interpreter), str(HERE / name)]


def python(name: str) -> Callable[[Way], Words]:
    return lambda _way: [sys.executable, str(HERE / name)]


def phpmailer(_way: Way) -> Words:
    php = program("php")
    if not Path("/usr/share/php/libphp-phpmailer").exists():
        raise NotHere("libphp-phpmailer is not installed")
    return [php, str(HERE / "with_phpmailer.php")]


def nodemailer(way: Way) -> Words:
    node, folder = program("node"), way.scratch / "nodemailer"
    fetch(
        folder, [program("npm"), "install", "--silent", "--no-audit", "--prefix", str(folder), "nodemailer"]
    )
    shutil.copy(HERE / "with_nodemailer.js", folder)  # it looks for modules where it stands
    return [node, str(folder / "with_nodemailer.js")]


def fetch(folder: Path, command: Words) -> None:
    """Run *command*, which fills *folder*, unless it did before.  Raises NotHere."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotHere("it could not be fetched in time") from None
    if done.returncode:
        raise NotHere("it could not be fetched")


CLIENTS: dict[str, Callable[[Way], Words]] = {
    "swaks": swaks,
    "curl": curl,
    "msmtp": msmtp,
    "s-nail": s_nail,
    "mutt": mutt("mutt"),
    "neomutt": mutt("neomutt"),
    "Perl Net::SMTP": script("perl", "with_net_smtp.pl"),
    "PHPMailer": phpmailer,
    "nodemailer": nodemailer,
    "Python smtplib": python("with_smtplib.py"),
    "Python aiosmtplib": python("with_aiosmtplib.py"),
}


def send(words: Words, way: Way) -> str | None:
    """Run one client; None if it says that it sent, else the end of what it said."""
    home = {"HOME": str(way.scratch), "MAILRC": "/dev/null"}
    facts = {"PORT": str(way.port), "TLS": way.tls, "LOGIN": LOGIN, "PASSWORD": way.password, "TO": TO}
    try:
        done = subprocess.run(
            words,
            input=LETTER,
            env=os.environ | home | facts,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {SECONDS} seconds"
    if done.returncode == 0:
        return None
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return f"exit code {done.returncode}: {said[-1] if said else 'without a word'}"


def results(node: Node, ways: list[Way]) -> Iterator[tuple[str, list[str]]]:
    """Each client, and what came of each way: "sent", or why not."""
    arrived = 0
    for name, words_for in CLIENTS.items():
        row: list[str] = []
        for way in ways:
            try:
                trouble = send(words_for(way), way)
            except NotHere as why:
                row.append(f"left out: {why}")
                continue
            if trouble is None:
                arrived += 1
                node.wait_for("message_accepted", times=arrived)
            row.append(f"failed: {trouble}" if trouble else "sent")
        yield name, row


def main() -> int:
    """Print the table; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="relay-clients-") as folder:
        scratch = Path(folder)
        node = Node(scratch, BASIC + LISTENERS)
        try:
            ports = node.start_and_wait()["listeners"]
            (certificate,) = [
                path
                for path in (scratch / "data").rglob("*")
                if path.is_file() and b"BEGIN CERTIFICATE" in path.read_bytes()
            ]
            ways = [
                Way(tls, int(ports[name].split()[0]), node.password, certificate, scratch)
                for tls, name in (("starttls", "submission"), ("implicit", "submissions"))
            ]
            has_failed = False
            print("| Client | STARTTLS and AUTH | TLS from the first byte |\n|---|---|---|")  # noqa: T201
            for name, row in results(node, ways):
                print(f"| {name} | {' | '.join(row)} |", flush=True)  # noqa: T201
                has_failed |= any(each.startswith("failed") for each in row)
            return int(has_failed)
        finally:
            node.clean_up()


if __name__ == "__main__":
    sys.exit(main())
