"""What makes no sense in an upstream, and what is allowed but probably not meant."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import replace
from datetime import timedelta

from relay.mail.address import BadAddress, fold_domain
from relay.routing import limits
from relay.routing.name_server import BadNameServer
from relay.routing.options import Grant, Options
from relay.routing.upstreams import Kind, Tls, Upstream

# Whoever answers for one of these and cannot show its certificate is somebody else.
WELL_KNOWN = (
    "gmail.com", "googlemail.com", "google.com", "office365.com", "outlook.com", "hotmail.com", "live.com",
    "yahoo.com", "yahoodns.net", "aol.com", "amazonses.com", "mailgun.org", "mailgun.net", "postmarkapp.com",
    "sendgrid.net", "sendgrid.com", "brevo.com", "sendinblue.com", "mailjet.com", "mandrillapp.com",
    "sparkpostmail.com", "smtp2go.com", "mailersend.net", "mailtrap.io", "resend.com", "icloud.com", "me.com",
    "fastmail.com", "zoho.com", "zoho.eu", "gmx.net", "gmx.com", "web.de", "ionos.com", "ionos.de",
    "googleapis.com", "microsoft.com",
    "ssl0.ovh.net", "mail.ovh.net", "yandex.com", "yandex.ru", "protonmail.ch",
)  # fmt: skip
# Other names there are its customers' own
_AMAZON_SES = re.compile(r"email(?:-smtp)?[a-z0-9.-]*\.amazonaws\.com")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?")
_MAX_TIMEOUT = timedelta(minutes=10)
_MAX_CONCURRENCY = 500


class BadUpstream(ValueError):
    """An upstream cannot be so; the message says what to mend."""


def checked(upstream: Upstream) -> Upstream:
    """Return *upstream* with its host folded.  Raises BadUpstream or BadLimits if it cannot be so."""
    if not _NAME.fullmatch(upstream.name) or len(upstream.name) > 64:
        raise BadUpstream("An upstream's name has up to 64 letters, digits, dots, dashes or underscores.")
    limits.checked(upstream.limits)
    if upstream.kind is Kind.SANDBOX:
        return _checked_sandbox(upstream)
    if upstream.kind is Kind.MX:
        _check_direct(upstream)
    elif upstream.options.resolver:
        raise BadUpstream("Only an upstream of the kind mx asks a resolver of its own: --resolver.")
    elif upstream.tls is Tls.OPPORTUNISTIC:
        raise BadUpstream("Opportunistic TLS is for upstreams of the kind mx: use --tls starttls.")
    if upstream.kind.is_http:
        _check_service(upstream)
    elif upstream.kind is Kind.SMTP:
        upstream = replace(upstream, host=_folded_host(upstream.host))
        _check_port(upstream)
    _check_numbers(upstream)
    _check_tokens(upstream)
    _check_login(upstream)
    _check_trust(upstream)
    return upstream


def warnings(upstream: Upstream) -> tuple[str, ...]:
    """What is allowed but probably not meant."""
    if upstream.kind is Kind.SANDBOX:
        return ()
    if upstream.kind.is_http:
        return _warnings_of_service(upstream)
    if upstream.kind is Kind.MX:
        return _warnings_of_direct(upstream)
    found = [] if is_this_machine(upstream.host) else _dangers_on_the_way(upstream)
    if upstream.port == 465 and upstream.tls is not Tls.IMPLICIT:
        found.append("Port 465 usually wants --tls implicit.")
    if upstream.port == 587 and upstream.tls is Tls.IMPLICIT:
        found.append("Port 587 usually wants --tls starttls.")
    return tuple(found)


def is_this_machine(host: str) -> bool:
    """Whether what is sent to *host* travels over no network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _dangers_on_the_way(upstream: Upstream) -> list[str]:
    found = []
    if upstream.port == 25:
        found.append("Port 25 is often blocked, and is for mail between servers: prefer 587 or 465.")
    if upstream.tls is Tls.NONE:
        what = "mail and password travel" if upstream.username else "mail travels"
        found.append(f"Without TLS, {what} to {upstream.host} readable for everybody on the way.")
    elif not upstream.verify_tls and upstream.pinned_ca:
        found.append(
            f"The name in the certificate of {upstream.host} is not compared: be sure to trust its very own "
            "certificate, not that of an authority."
        )
    elif not upstream.verify_tls:
        found.append(
            f"The certificate of {upstream.host} is not verified: anybody on the way can pose as it. "
            "Better give the certificate to trust with --ca."
        )
    return found


def _checked_sandbox(upstream: Upstream) -> Upstream:
    if upstream.host or upstream.username or upstream.password:
        raise BadUpstream("A sandbox keeps the mail here: it has no host, user name or password.")
    return upstream


def _check_direct(upstream: Upstream) -> None:
    if upstream.host or upstream.options.url:
        raise BadUpstream("Direct delivery has no host or URL: DNS says where each domain's mail goes.")
    if upstream.username or upstream.password or upstream.options.oauth:
        raise BadUpstream("Direct delivery logs in nowhere: leave user name, password and tokens out.")
    if upstream.tls is Tls.IMPLICIT:
        raise BadUpstream(
            "Mail servers have no implicit TLS for each other: --tls opportunistic, starttls or none."
        )
    if upstream.tls is not Tls.STARTTLS and not upstream.verify_tls:
        raise BadUpstream("Only --tls starttls verifies every certificate, so only there is --no-verify.")
    try:
        upstream.options.name_server  # noqa: B018  read to see whether it can be
    except BadNameServer as fault:
        raise BadUpstream(str(fault)) from None
    _check_port(upstream)


def _warnings_of_direct(upstream: Upstream) -> tuple[str, ...]:
    if upstream.tls is Tls.NONE:
        return ("Without TLS, mail travels readable for everybody on the way.",)
    if upstream.tls is Tls.STARTTLS and upstream.verify_tls:
        return ("Many servers have certificates that cannot be verified: they get no mail now.",)
    return ()


def _folded_host(host: str) -> str:
    if not host:
        raise BadUpstream("An SMTP upstream needs a host.")
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    try:
        folded = fold_domain(host)
    except BadAddress as fault:
        raise BadUpstream(f'"{host}" is no host: {fault}') from None
    if not _HOST.fullmatch(folded) or len(folded) > 253:
        raise BadUpstream(f'"{host}" is neither a host name nor an IP address.')
    return folded


_NEEDS = {
    Kind.SES: ("region", "the region of Amazon SES, such as eu-west-1: --region"),
    Kind.MAILGUN: ("domain", "the sending domain at Mailgun: --domain"),
}

# They send to whomever the header names, and not only to the recipients of the envelope.
_TO_THOSE_NAMED = frozenset({Kind.GRAPH, Kind.GMAIL, Kind.POSTMARK, Kind.SENDGRID, Kind.RESEND, Kind.BREVO})
_WITH_KEYS = frozenset({Kind.SES, Kind.MAILGUN, Kind.POSTMARK, Kind.SENDGRID, Kind.RESEND, Kind.BREVO})


def _check_service(upstream: Upstream) -> None:
    options, kind = upstream.options, upstream.kind
    if upstream.host or upstream.port:
        raise BadUpstream(f"A service of the kind {kind} has no host or port, but a URL: --url.")
    if not _is_url(options):
        raise BadUpstream(
            f'"{options.url}" is no URL of a service: it begins with https:// and names a host.'
        )
    if kind in _NEEDS and not getattr(options, _NEEDS[kind][0]):
        raise BadUpstream(f"An upstream of the kind {kind} needs {_NEEDS[kind][1]}.")
    if kind in {Kind.GRAPH, Kind.GMAIL} and options.oauth is None:
        raise BadUpstream(f"An upstream of the kind {kind} is logged in to with tokens only: --oauth.")
    if kind is Kind.GRAPH and upstream.username is None:
        raise BadUpstream("Microsoft Graph needs the mailbox that mail is sent from: --username.")
    if kind is Kind.SES and upstream.username is None:
        raise BadUpstream("Amazon SES needs the id of an access key: --username.")
    if kind in _WITH_KEYS and upstream.password is None:
        raise BadUpstream(f"An upstream of the kind {kind} needs its key: --password-stdin.")


def _is_url(options: Options) -> bool:
    try:
        return options.url.isprintable() and bool(options.host and options.port and _scheme(options.url))
    except ValueError:
        return False


def _scheme(url: str) -> bool:
    return url.startswith(("https://", "http://")) and " " not in url and "?" not in url and "#" not in url


def _warnings_of_service(upstream: Upstream) -> tuple[str, ...]:
    host, found = upstream.options.host, []
    is_on_the_way = not is_this_machine(host)
    if is_on_the_way and not upstream.options.is_secure:
        found.append(
            f"Without TLS, mail and keys travel to {host} readable for everybody on the way: use https."
        )
    elif is_on_the_way and not upstream.verify_tls:
        found.append(f"The certificate of {host} is not verified: anybody on the way can pose as it.")
    elif upstream.kind is Kind.HTTP_RAW and upstream.password is None:
        found.append(
            f"Without a password nothing is signed: {host} cannot tell our mail from anybody else's."
        )
    if upstream.archive_address is not None and upstream.kind in _TO_THOSE_NAMED:
        found.append(
            f"What goes to {upstream.kind} goes to all in To and Cc, so the copies for the archive cannot: "
            "their route needs an upstream of another kind, too."
        )
    return tuple(found)


def _check_tokens(upstream: Upstream) -> None:
    oauth = upstream.options.oauth
    if oauth is None:
        return
    if upstream.kind not in {Kind.SMTP, Kind.GRAPH, Kind.GMAIL, Kind.HTTP_RAW}:
        raise BadUpstream(f"An upstream of the kind {upstream.kind} is not logged in to with tokens.")
    if not _scheme(oauth.token_url):
        raise BadUpstream("To get tokens, the URL of the token endpoint is needed: --token-url.")
    for option, url in (("--authorize-url", oauth.authorize_url), ("--device-url", oauth.device_url)):
        if url and not _scheme(url):
            raise BadUpstream(
                f'"{url}" is no URL where consent is given: it begins with https:// and has no "?": {option}.'
            )
    if not oauth.client_id:
        raise BadUpstream("To get tokens, the application's id is needed: --client-id.")
    if oauth.grant is not Grant.REFRESH_TOKEN and upstream.password is None:
        what = "private key" if oauth.grant is Grant.SERVICE_ACCOUNT else "secret"
        raise BadUpstream(f"For {oauth.grant} the application's {what} is needed: --password-stdin or --key.")
    if upstream.kind is Kind.SMTP and upstream.username is None:
        raise BadUpstream("To log in with a token, the mailbox is needed: --username.")


def _check_port(upstream: Upstream) -> None:
    if not 1 <= upstream.port <= 65535:
        raise BadUpstream("A port is a number from 1 to 65535.")


def _check_numbers(upstream: Upstream) -> None:
    if not timedelta(seconds=1) <= upstream.timeout <= _MAX_TIMEOUT:
        raise BadUpstream("The timeout is 1 to 600 seconds.")
    if not 1 <= upstream.concurrency <= _MAX_CONCURRENCY:
        raise BadUpstream(f"The concurrency is 1 to {_MAX_CONCURRENCY} connections.")


def _check_login(upstream: Upstream) -> None:
    is_smtp_login = upstream.kind is Kind.SMTP and upstream.options.oauth is None
    if is_smtp_login and (upstream.username is None) != (upstream.password is None):
        missing = "a password" if upstream.password is None else "a user name"
        raise BadUpstream(f"To log in, {missing} is missing: give both or neither.")
    if upstream.username is not None and not upstream.username.isprintable():
        raise BadUpstream("A user name holds no control characters.")


def _check_trust(upstream: Upstream) -> None:
    host = upstream.host or upstream.options.host
    if not upstream.verify_tls and (provider := _well_known(host)):
        raise BadUpstream(
            f"{host} belongs to {provider}, whose certificate can always be verified: if it cannot, "
            "somebody else is answering. Use the host name that stands in the certificate."
        )
    if upstream.pinned_ca is not None:
        try:
            # Not `create_default_context`, which takes an empty text for "trust the system's"
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=upstream.pinned_ca)
        except (ssl.SSLError, ValueError):
            raise BadUpstream("The file given to trust holds no certificate in PEM form.") from None


def _well_known(host: str) -> str | None:
    bare = host.rstrip(".")
    if _AMAZON_SES.fullmatch(bare):
        return "Amazon SES"
    return next((name for name in WELL_KNOWN if bare == name or bare.endswith(f".{name}")), None)
