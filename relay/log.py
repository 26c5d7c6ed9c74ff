"""The event vocabulary: one function for each thing that can happen.

Each writes one line, once, and counts, so that metrics cost nothing more.  Never a password, never
a body; addresses only where the event is about one.  Labels of metrics are few and bounded.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram, values

from relay.log_lines import LEVELS, FromLibraries, Tracebacks, WholeLines, Writer, tell_unraisable
from relay.mail.disposition import Disposition
from relay.mail.reply import Reply

_writer, _tracebacks = Writer(), Tracebacks()

if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    # Several processes count into files, one a process.  Named for what the process does and not by
    # its number, so that whoever takes the place of a dead one counts on where that one stopped.
    values.ValueClass = values.MultiProcessValue(lambda: _writer.process)  # type: ignore[no-untyped-call]

_SESSIONS = Counter("relay_smtp_sessions_total", "Connections taken.", ["listener"])
_AUTH = Counter("relay_auth_total", "AUTH commands.", ["mechanism", "result"])
_ACCEPTED = Counter("relay_messages_accepted_total", "Messages taken into the queue.", ["origin"])
_ACCEPTED_OCTETS = Counter("relay_messages_accepted_bytes_total", "Octets of messages taken.")
_REFUSED = Counter("relay_refusals_total", "Commands and messages refused.", ["rule"])
_ATTEMPTS = Counter("relay_delivery_attempts_total", "Recipients tried.", ["upstream", "result"])
_ATTEMPT_SECONDS = Histogram("relay_delivery_seconds", "Length of attempts.", ["upstream"])
_FAULTS = Counter("relay_faults_total", "Faults of our own.", ["where"])

_Metric = TypeVar("_Metric", Counter, Histogram)


@lru_cache(maxsize=1024)
def _of(metric: _Metric, *labels: str) -> _Metric:
    """Return the metric of just these labels; the library takes longer to find it than to count."""
    return metric.labels(*labels)


def configure(*, style: str, level: str, node: str, process: str = "main") -> None:
    """Say how this process tells what happens: *style* is `json`, `console`, or `auto` by the terminal.

    *process* names what this process does among those of its node ("relay-0"); it counts for that.
    """
    is_terminal = sys.stdout.isatty()
    _writer.stream = WholeLines(sys.stdout.fileno(), at_once=is_terminal)
    _writer.as_json = style == "json" or (style == "auto" and not is_terminal)
    _writer.least = LEVELS[level]
    _writer.node = node
    _writer.process = process
    logging.basicConfig(handlers=[FromLibraries(_writer)], level=logging.WARNING, force=True)
    sys.unraisablehook = tell_unraisable


def _emit(event: str, /, **facts: Any) -> None:
    _writer.write("info", event, facts)


# --- the process -----------------------------------------------------------------------------


def started(*, process: str, **facts: Any) -> None:
    """A process is ready for work."""
    _emit("started", process=process, **facts)


def stopping(*, process: str, step: str) -> None:
    """A process is on its way out, and this is how far it got."""
    _emit("stopping", process=process, step=step)


def secret_exposed(*, path: str, what_to_do: str) -> None:
    """Others on the machine can read a file that is a secret."""
    _writer.write("warning", "secret_exposed", {"path": path, "what_to_do": what_to_do})


def certificate_renewed(*, process: str) -> None:
    """New connections are shown the certificate that now lies on disk."""
    _emit("certificate_renewed", process=process)


def child_died(*, process: str, pid: int, status: str, again_in: float) -> None:
    """A child of the supervisor ended without being asked to; it is started again."""
    _of(_FAULTS, "child").inc()
    _writer.write(
        "error", "child_died", {"process": process, "pid": pid, "status": status, "again_in": again_in}
    )


def child_hung(*, process: str, pid: int | None, seconds: float) -> None:
    """A child of the supervisor gave no sign of life for so long; it is killed, and started again."""
    _writer.write("error", "child_hung", {"process": process, "pid": pid, "seconds": seconds})


def fault(where: str, error: BaseException) -> None:
    """Something of ours broke; *where* is one of few words, for it labels a metric."""
    _of(_FAULTS, where).inc()
    told = _tracebacks.of(where, error)
    more = {} if told is None else {"traceback": told}
    _writer.write("error", "fault", {"where": where, "error": repr(error), **more})


# --- the door in -----------------------------------------------------------------------------


def session_opened(*, session: str, listener: str, peer: str) -> None:
    """A client connected."""
    _of(_SESSIONS, listener).inc()
    _writer.write("debug", "session_opened", {"session": session, "listener": listener, "peer": peer})


def balancer_refused(*, listener: str, peer: str, why: str) -> None:
    """A connection to a port behind a balancer did not say properly for whom it is."""
    _of(_REFUSED, "proxy").inc()
    _writer.write("warning", "balancer_refused", {"listener": listener, "peer": peer, "why": why})


def tls_failed(*, session: str, listener: str, peer: str, why: str) -> None:
    """TLS with a client broke; *why* is OpenSSL's reason, such as "wrong version number"."""
    _of(_REFUSED, "tls").inc()
    _emit("tls_failed", session=session, listener=listener, peer=peer, why=why)


def session_closed(*, session: str, reason: str) -> None:
    """A client's connection is over."""
    _writer.write("debug", "session_closed", {"session": session, "reason": reason})


def authenticated(*, session: str, user: str, mechanism: str) -> None:
    """A client proved who it is."""
    _of(_AUTH, mechanism, "success").inc()
    _writer.write("debug", "authenticated", {"session": session, "user": user, "mechanism": mechanism})


def authentication_failed(*, session: str, user: str, mechanism: str, peer: str, why: str) -> None:
    """A client did not prove who it is; *why* is for the operator and never for the client."""
    _of(_AUTH, mechanism, "failure").inc()
    _writer.write(
        "warning",
        "authentication_failed",
        {"session": session, "user": user, "mechanism": mechanism, "peer": peer, "why": why},
    )


def login_barred(*, session: str, user: str, peer: str, by: str) -> None:
    """A login was refused unseen, because too many before it failed."""
    _of(_AUTH, "any", "barred").inc()
    _writer.write("warning", "login_barred", {"session": session, "user": user, "peer": peer, "by": by})


def login_limit_reached(*, by: str, source: str, seconds: float) -> None:
    """So many logins failed that an address, a network or a name is barred for a while."""
    _writer.write("warning", "login_limit_reached", {"by": by, "source": source, "seconds": seconds})


def refused(*, session: str, user: str | None, rule: str, reply: Reply, sender: str = "") -> None:
    """Policy, or the protocol, said no."""
    _of(_REFUSED, rule).inc()
    _emit("refused", session=session, user=user, rule=rule, reply=str(reply), sender=sender)


def message_accepted(
    *,
    message: str,
    origin: str,
    session: str | None,
    user: str | None,
    sender: str,
    recipients: int,
    octets: int,
) -> None:
    """A message is ours: it is committed."""
    _of(_ACCEPTED, origin).inc()
    _ACCEPTED_OCTETS.inc(octets)
    _emit(
        "message_accepted",
        message=message,
        origin=origin,
        session=session,
        user=user,
        sender=sender,
        recipients=recipients,
        octets=octets,
    )


# --- the queue and the door out --------------------------------------------------------------


def attempt_finished(
    *,
    delivery: str,
    number: int,
    upstream: str,
    seconds: float,
    disposition: Disposition,
    recipients: int,
    reply: Reply,
) -> None:
    """One try at one upstream is over for the recipients that shared this end."""
    _of(_ATTEMPTS, upstream, disposition.value).inc(recipients)
    _of(_ATTEMPT_SECONDS, upstream).observe(seconds)
    _emit(
        "attempt_finished",
        delivery=delivery,
        number=number,
        upstream=upstream,
        seconds=round(seconds, 3),
        disposition=disposition.value,
        recipients=recipients,
        reply=str(reply),
    )


def delivery_deferred(*, delivery: str, until: datetime, reason: str) -> None:
    """A delivery will be tried again."""
    _emit("delivery_deferred", delivery=delivery, until=until.isoformat(), reason=reason)


def split_off(*, delivery: str, recipients: int, deliveries: int, reason: str) -> None:
    """A transaction had no room for some recipients: they go on at once, in deliveries of their own."""
    _emit("split_off", delivery=delivery, recipients=recipients, deliveries=deliveries, reason=reason)


def perhaps_delivered(*, delivery: str, upstream: str, again_at: datetime | None) -> None:
    """The line broke behind the final dot: the upstream may have the message, and it is sent again late."""
    moment = None if again_at is None else again_at.isoformat()
    _emit("perhaps_delivered", delivery=delivery, upstream=upstream, again_at=moment)


def left_alone(*, delivery: str, upstream: str, reason: str) -> None:
    """A message was not changed as it was to be, because that would break it or what vouches for it."""
    _emit("left_alone", delivery=delivery, upstream=upstream, reason=reason)


def reported(*, message: str | None, report: str) -> None:
    """Its sender is told what became of a message: that it failed, is late, or was passed on."""
    _emit("reported", message=message, report=report)


def archive_failed(*, archive: str, original: str, copy: str, reply: str) -> None:
    """An archive did not get its copy of a message, and nobody tries again."""
    _writer.write(
        "warning",
        "archive_failed",
        {"archive": archive, "message": original, "copy": copy, "reply": reply},
    )


def upstream_down(*, upstream: str, reply: Reply, until: datetime) -> None:
    """An upstream cannot be reached; nothing is sent there until then."""
    _writer.write(
        "warning",
        "upstream_down",
        {"upstream": upstream, "reply": str(reply), "until": until.isoformat()},
    )


def upstream_up(*, upstream: str) -> None:
    """An upstream that was down answers again."""
    _emit("upstream_up", upstream=upstream)


def upstream_heard(*, upstream: str, state: str, of: str) -> None:
    """Another process found out that an upstream is down, or works again; this one goes by that."""
    _emit("upstream_heard", upstream=upstream, state=state, of=of)


def upstream_probed(*, upstream: str) -> None:
    """An upstream that was down is tried with one delivery."""
    _emit("upstream_probed", upstream=upstream)


def upstream_slowed(*, upstream: str, reply: Reply, connections: float) -> None:
    """An upstream asked for less; below one connection there is a rest between two messages."""
    _writer.write(
        "warning",
        "upstream_slowed",
        {"upstream": upstream, "reply": str(reply), "connections": round(connections, 2)},
    )


def upstream_shut(*, upstream: str, why: str, until: datetime) -> None:
    """An upstream had what it may be given for now."""
    _emit("upstream_shut", upstream=upstream, why=why, until=until.isoformat())


def passed_on(*, delivery: str, upstream: str, why: str) -> None:
    """A delivery goes to another upstream of its route: the one before takes nothing, or cannot carry it."""
    _emit("passed_on", delivery=delivery, upstream=upstream, why=why)


def leases_taken_back(*, deliveries: int, why: str) -> None:
    """Deliveries of a process that is gone are due again."""
    _emit("leases_taken_back", deliveries=deliveries, why=why)


def upstream_checked(*, upstream: str, is_good: bool, verdict: str) -> None:
    """An upstream was tested step by step, as it is now and then."""
    _writer.write(
        "info" if is_good else "warning",
        "upstream_checked",
        {"upstream": upstream, "is_good": is_good, "verdict": verdict},
    )


def token_refreshed(*, upstream: str, until: datetime) -> None:
    """There is a new token to log in to an upstream with, good until then."""
    _emit("token_refreshed", upstream=upstream, until=until.isoformat())


def token_refused(*, upstream: str, why: str) -> None:
    """No token to log in to an upstream with could be got."""
    _writer.write("warning", "token_refused", {"upstream": upstream, "why": why})


def lease_lost(*, delivery: str) -> None:
    """An attempt ended after its lease had run out: somebody else may have delivered it, too."""
    _writer.write("warning", "lease_lost", {"delivery": delivery})


def notice_told(*, notice: str, kind: str, to: str) -> None:
    """Somebody was told something."""
    _emit("notice_told", notice=notice, kind=kind, to=to)


def sender_agreed_to(*, user: str, sender: str, released: int) -> None:
    """The owner of an address agreed, by the link in its letter, that *user* sends as it."""
    _emit("sender_agreed_to", user=user, sender=sender, released=released)


def purged(*, messages: int) -> None:
    """The records of long finished messages are gone."""
    _emit("purged", messages=messages)


def flush() -> None:
    """Write out what is buffered: a process does so a few times a second, and before it ends."""
    _writer.stream.flush()
