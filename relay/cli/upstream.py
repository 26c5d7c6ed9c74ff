"""relay upstream …: where mail goes."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated, Literal

import typer

from relay.cli.asking import confirm, password_from_stdin
from relay.cli.command import at_the_desk
from relay.cli.desk import Desk
from relay.cli.faults import OK, UNAVAILABLE, USAGE, Failed
from relay.cli.service_options import (
    AuthorizeUrl,
    ClientId,
    DeviceUrl,
    Domain,
    Key,
    OAuthGrant,
    PresetName,
    Region,
    Resolver,
    Scope,
    Subject,
    Tenant,
    TokenUrl,
    Url,
)  # fmt: skip
from relay.cli.shown import Shown, Table
from relay.cli.upstream_options import (
    Archive,
    Ca,
    Concurrency,
    Default,
    Host,
    Name,
    NewName,
    NoTest,
    PasswordStdin,
    Port,
    Sender,
    Timeout,
    Tls,
    Username,
)  # fmt: skip

_DEFAULT_LEADS_NOWHERE = (
    "The default route leads to no upstream any more: its mail waits, and new mail for it is refused for now "
    "(451 4.3.5). Lead it elsewhere: relay route edit default --to NAME."
)

app = typer.Typer(
    no_args_is_help=True,
    help="The servers and services that mail is handed to; which mail goes to which: relay route.",
)


@app.command("add")
@at_the_desk
def add(
    desk: Desk,
    name: NewName,
    *,
    kind: Annotated[
        Literal[
            "smtp",
            "mx",
            "sandbox",
            "http-raw",
            "graph",
            "gmail",
            "ses",
            "mailgun",
            "postmark",
            "sendgrid",
            "resend",
            "brevo",
        ],
        typer.Option(
            help="A server (smtp), each domain's own servers (mx), a sandbox, which keeps mail here and "
            "shows it, or else a service over HTTP."
        ),
    ] = "smtp",
    preset: PresetName = None,
    host: Host = None,
    port: Port = None,
    tls: Tls = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not verify its certificate; --ca is the better way.")
    ] = False,
    sender: Sender = None,
    archive: Archive = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    url: Url = None,
    domain: Domain = None,
    region: Region = None,
    resolver: Resolver = None,
    oauth: OAuthGrant = None,
    client_id: ClientId = None,
    tenant: Tenant = None,
    token_url: TokenUrl = None,
    authorize_url: AuthorizeUrl = None,
    device_url: DeviceUrl = None,
    scope: Scope = None,
    subject: Subject = None,
    key: Key = None,
    default: Default = False,
    no_test: NoTest = False,
) -> Shown:
    """Add an upstream, after testing it. The default route leads to the first one."""
    from relay.cli import probe, upstreams
    from relay.cli.services import ServiceWanted, one_preset
    from relay.routing.changes import NewUpstream, add_upstream, require_free
    from relay.routing.presets import PRESETS
    from relay.routing.soundness import checked, warnings
    from relay.routing.upstreams import Kind, Upstream

    service = ServiceWanted(
        preset=one_preset(preset), url=url, domain=domain, region=region, resolver=resolver, oauth=oauth,
        client_id=client_id, tenant=tenant, token_url=token_url, authorize_url=authorize_url,
        device_url=device_url, scope=scope, subject=subject, key=key.read() if key else None,
    )  # fmt: skip
    desk.make()
    desk.read(require_free, name)  # before a password is asked for, or a server
    wanted = upstreams.Wanted(
        host=host, port=port, tls=tls, username=username,
        password=_password(username if oauth is None else None, is_on_stdin=password_stdin),
        pinned_ca=ca.read() if ca else None, verify=not no_verify, sender=sender, archive=archive,
        timeout=timeout, concurrency=concurrency, service=service,
    )  # fmt: skip
    fresh = checked(wanted.applied_to(Upstream(desk.author.id(), name, Kind(kind)), desk.sealer))
    report = None if no_test else probe.before_saving(desk, fresh)
    if report is not None and not report.is_good:
        return probe.refusal(report, fresh, "added")
    made = desk.write(add_upstream, NewUpstream(desk.author, fresh, default))
    if report is not None:
        probe.remember(desk, made, report)
    shown = upstreams.one(desk, made.name)
    first_steps = preset or ("direct" if made.kind is Kind.MX else None)
    return Shown(
        upstreams.document(shown),
        (
            *([probe.steps(report)] if report else []),
            f'Upstream "{made.name}" was added.',
            upstreams.card(shown),
            *([PRESETS[first_steps].instructions.rstrip()] if first_steps else []),
            *upstreams.left_to_do(shown),
        ),
        warnings(made),
    )


@app.command("list")
@at_the_desk
def list_upstreams(desk: Desk) -> Shown:
    """List all upstreams and how they fare."""
    from relay.cli import upstreams

    found = upstreams.everything(desk)
    table = Table(upstreams.HEADINGS, [upstreams.row(one) for one in found])
    nothing = 'There are no upstreams yet: "relay upstream add".'
    return Shown([upstreams.document(one) for one in found], (table,) if found else (nothing,))


@app.command("show")
@at_the_desk
def show(desk: Desk, name: Name) -> Shown:
    """Show everything about one upstream, but its password."""
    from relay.cli import upstreams
    from relay.routing.soundness import warnings

    one = upstreams.one(desk, name)
    return Shown(upstreams.document(one), (upstreams.card(one),), warnings(one.upstream))


@app.command("edit")
@at_the_desk
def edit(
    desk: Desk,
    name: Name,
    *,
    host: Host = None,
    port: Port = None,
    tls: Tls = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    no_ca: Annotated[bool, typer.Option("--no-ca", help="Trust the system's authorities again.")] = False,
    verify: Annotated[
        bool | None, typer.Option("--verify/--no-verify", help="Whether to verify its certificate.")
    ] = None,
    sender: Sender = None,
    archive: Archive = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    url: Url = None,
    domain: Domain = None,
    region: Region = None,
    resolver: Resolver = None,
    oauth: OAuthGrant = None,
    client_id: ClientId = None,
    tenant: Tenant = None,
    token_url: TokenUrl = None,
    authorize_url: AuthorizeUrl = None,
    device_url: DeviceUrl = None,
    scope: Scope = None,
    subject: Subject = None,
    key: Key = None,
    default: Default = False,
    no_test: NoTest = False,
) -> Shown:
    """Change an upstream; what is not given stays as it is.

    If it is reached otherwise then, it is tested before it is saved. Connections that are open are
    finished and made anew.
    """
    from relay.cli import probe, upstreams
    from relay.cli.services import ServiceWanted
    from relay.routing.changes import EditUpstream, edit_upstream
    from relay.routing.soundness import checked, warnings
    from relay.routing.upstreams import find_upstream

    service = ServiceWanted(
        url=url, domain=domain, region=region, resolver=resolver, oauth=oauth, client_id=client_id,
        tenant=tenant, token_url=token_url, authorize_url=authorize_url, device_url=device_url, scope=scope,
        subject=subject, key=key.read() if key else None,
    )  # fmt: skip
    wanted = upstreams.Wanted(
        host=host, port=port, tls=tls, username=username,
        password=password_from_stdin() if password_stdin else None,
        pinned_ca=ca.read() if ca else None, no_ca=no_ca, verify=verify, sender=sender, archive=archive,
        timeout=timeout, concurrency=concurrency, service=service,
    )  # fmt: skip
    if wanted == upstreams.Wanted() and not default:
        raise Failed("Say what to change; see --help.", USAGE)
    sealer = desk.sealer
    before = desk.read(find_upstream, name, sealer)
    fresh = checked(wanted.applied_to(before, sealer))
    report = None if no_test else probe.before_saving(desk, fresh, instead_of=before)
    if report is not None and not report.is_good:
        return probe.refusal(report, fresh, "changed")
    order = EditUpstream(
        desk.author, name, sealer, lambda u: wanted.applied_to(u, sealer), is_default=default
    )
    changed = desk.write(edit_upstream, order)
    if report is not None:
        probe.remember(desk, changed, report)
    one = upstreams.one(desk, changed.name)
    return Shown(
        upstreams.document(one),
        (
            *([probe.steps(report)] if report else []),
            f'Upstream "{changed.name}" was changed.',
            upstreams.card(one),
            *upstreams.left_to_do(one),
        ),
        warnings(changed),
    )


@app.command("reset")
@at_the_desk
def reset(
    desk: Desk,
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Shown:
    """Put an upstream's timeout, connections and limits back to the default; shows it, and asks.

    All else stays as it is: where it is, its login, addresses, rewriting and routes.
    """
    from relay.cli import upstreams
    from relay.routing.changes import EditUpstream, edit_upstream

    before = upstreams.one(desk, name).upstream
    lost = upstreams.tuning_lost(before)
    if not lost:
        return Shown(
            {"reset": {}},
            (f'Nothing to put back: timeout, connections and limits of "{name}" are the default.',),
        )
    told = ", ".join(f"{what} ({old} → {new})" for what, (old, new) in lost.items())
    confirm(f'Upstream "{name}" back to the default: {told}.', is_sure=yes)
    desk.write(edit_upstream, EditUpstream(desk.author, name, desk.sealer, upstreams.untuned))
    return Shown({"reset": lost}, (f"Put back: {told}. All else stays as it was.",))


@app.command("test")
@at_the_desk
def try_out(
    desk: Desk,
    name: Name,
    *,
    send: Annotated[
        bool, typer.Option("--send", help="Also send a message, from the account's own address to itself.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="From and to this address instead of its own.")
    ] = None,
) -> Shown:
    """Test an upstream step by step, with a verdict and a hint for each; nothing is sent without --send."""
    from relay.cli import probe, upstreams

    upstream = upstreams.one(desk, name).upstream
    whom = upstreams.address(address, "--address") if address else upstream.own_address
    if send and whom is None:
        raise Failed("The account has no address of its own: give one with --address.", USAGE)
    letter = probe.letter_to(whom, desk) if send and whom else None
    report = probe.walk(desk, upstream, address=whom, letter=letter, is_stored=True)
    probe.remember(desk, upstream, report, address=whom, was_sent=send)
    exit_code = OK if report.is_good else UNAVAILABLE
    is_elsewhere = not report.is_good and not probe.is_about(upstream, report, whom)
    more = (f"That is about mail to {whom} only: the upstream itself is shown as before.",)
    shown = (probe.steps(report), report.verdict, *(more if is_elsewhere else ()))
    return Shown(probe.document(report), shown, exit_code=exit_code)


@app.command("enable")
@at_the_desk
def enable(desk: Desk, name: Name) -> Shown:
    """Send to an upstream again."""
    return _switch(desk, name, is_enabled=True)


@app.command("disable")
@at_the_desk
def disable(desk: Desk, name: Name) -> Shown:
    """Send nothing to an upstream; its mail waits, or goes by the others of its route."""
    return _switch(desk, name, is_enabled=False)


@app.command("delete")
@at_the_desk
def delete(
    desk: Desk,
    name: Name,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also if routes lead to it; they lose it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Shown:
    """Delete an upstream."""
    from relay.routing.changes import RemoveUpstream, remove_upstream
    from relay.routing.routes import load
    from relay.routing.upstreams import find_upstream

    upstream = desk.read(find_upstream, name, desk.sealer)
    confirm(f'The upstream "{upstream.name}" will be deleted.', is_sure=yes)
    led = desk.read(load, desk.sealer).routes
    desk.write(remove_upstream, RemoveUpstream(desk.author, upstream.name, desk.sealer, is_forced=force))
    still = {route.id for route in desk.read(load, desk.sealer).routes}
    warnings = tuple(_leads_nowhere(route.name) for route in led if route.id not in still)
    return Shown({"deleted": upstream.name}, (f'Upstream "{upstream.name}" was deleted.',), warnings)


def _leads_nowhere(route: str) -> str:
    from relay.routing.routes import DEFAULT_ROUTE

    if route == DEFAULT_ROUTE:
        return _DEFAULT_LEADS_NOWHERE
    return f'The route "{route}" leads to no upstream any more: its mail goes by the default route.'


def _password(username: str | None, *, is_on_stdin: bool) -> str | None:
    """The password of a login; who sits at a terminal is asked for it unbidden."""
    if is_on_stdin or (username not in {None, "none"} and sys.stdin.isatty()):
        return password_from_stdin()
    return None


def _switch(desk: Desk, name: str, *, is_enabled: bool) -> Shown:
    from relay.routing.changes import EditUpstream, edit_upstream

    order = EditUpstream(desk.author, name, desk.sealer, lambda u: replace(u, is_enabled=is_enabled))
    changed = desk.write(edit_upstream, order)
    stopped = "is not sent to any more; its mail waits, or goes by the others of its route"
    what = "is sent to again" if is_enabled else stopped
    document = {"name": changed.name, "is_enabled": changed.is_enabled}
    return Shown(document, (f'Upstream "{changed.name}" {what}.',))
