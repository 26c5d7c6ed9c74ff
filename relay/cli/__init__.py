"""The switchboard: `relay <noun> <verb>`.

Each noun is one file; this page lists them.  They import the rooms they speak to only when a
command is called, so that `relay --help` does not load the whole house.

    desk       configuration, database and key, opened when first needed
    command    the options, errors and answers that all commands have in common
    shown      what a command answers, as values; `printing` writes them
    streams    where answers are written and questions answered
    faults     what went wrong, as one sentence and one exit code
"""

from __future__ import annotations

import sys

import typer

from relay.cli import (
    check_policy,
    config,
    dkim,
    doctor,
    events,
    logins,
    message,
    node,
    providers,
    queue,
    rewrite,
    route,
    send_test,
    sender,
    settings,
    upstream,
    upstream_limits,
    user,
    user_limits,
)
from relay.cli.command import before
from relay.cli.faults import FAILED, USAGE
from relay.cli.printing import complain, unwritten
from relay.cli.streams import leave_unwritten, make_usable

NOUNS = {
    "user": user.app,
    "upstream": upstream.app,
    "route": route.app,
    "queue": queue.app,
    "message": message.app,
    "sender": sender.app,
    "dkim": dkim.app,
    "events": events.app,
    "logins": logins.app,
    "settings": settings.app,
    "config": config.app,
}
VERBS = {
    "serve": node.serve,
    "migrate": node.migrate,
    "doctor": doctor.doctor,
    "send-test": send_test.send_test,
    "check-policy": check_policy.check_policy,
    "version": node.version,
}

user.app.command("limits")(user_limits.limits)
upstream.app.command("limits")(upstream_limits.limits)
upstream.app.command("presets")(providers.presets)
upstream.app.command("authorize")(providers.authorize)
user.app.command("rewrite")(rewrite.rewrite_user)
upstream.app.command("rewrite")(rewrite.rewrite_upstream)

__all__ = ["app", "main"]


def app() -> typer.Typer:
    """Return the whole command line."""
    whole = typer.Typer(
        help="An SMTP relay with per-user authorization and a durable priority queue.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    whole.callback()(before)
    for name, verb in VERBS.items():
        whole.command(name)(verb)
    for name, noun in NOUNS.items():
        whole.add_typer(noun, name=name, callback=before)
    return whole


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    make_usable()
    try:
        code = app()(given, prog_name="relay", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as mistake:
        if not mistake.format_message():
            return mistake.exit_code  # a noun alone: its help was shown, and says all
        # Something in the line itself; --json may stand behind it, unread.
        complain("error", _usage(mistake), as_json="--json" in given, exit_code=mistake.exit_code)
        return mistake.exit_code
    except typer.Abort:
        complain("error", "Nothing was changed.", as_json="--json" in given, exit_code=FAILED)
        return FAILED
    except BrokenPipeError:
        leave_unwritten(sys.stdout)  # whoever read us has had enough, as in `relay queue list | head`
        return FAILED
    except OSError as fault:
        failed = unwritten(fault)
        complain("error", str(failed), as_json="--json" in given, exit_code=failed.exit_code)
        return failed.exit_code
    return code if isinstance(code, int) else 0


def _usage(mistake: typer.TyperException) -> str:
    ctx = getattr(mistake, "ctx", None)
    where = f' (see "{ctx.command_path} --help")' if ctx is not None and mistake.exit_code == USAGE else ""
    return mistake.format_message().replace("Value error, ", "").rstrip(".") + f"{where}."
