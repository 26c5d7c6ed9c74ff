"""Providers as they want to be spoken to: PRESETS is all of them, each with its own short instructions.

In what stands here, {region} and {tenant} are put in from what is known of the account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from relay.routing.options import Grant, OAuth, Options
from relay.routing.upstreams import Kind, Tls, Upstream

_MICROSOFT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0"
_GOOGLE_CONSENT = OAuth(
    Grant.REFRESH_TOKEN,
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106  an address
    client_id="",
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
)
_MICROSOFT_CONSENT = OAuth(
    Grant.REFRESH_TOKEN,
    token_url=f"{_MICROSOFT}/token",
    client_id="",
    device_url=f"{_MICROSOFT}/devicecode",
    authorize_url=f"{_MICROSOFT}/authorize",
)


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider: how it is reached, how tokens are got if it takes any, and what to do there first.

    `username` is the one that all accounts have; `needs` are the names of the options that must be given.
    """

    name: str
    title: str
    instructions: str
    kind: Kind = Kind.SMTP
    host: str = ""
    port: int = 587
    tls: Tls = Tls.STARTTLS
    url: str = ""
    username: str | None = None
    oauth: OAuth | None = None
    needs: Sequence[str] = ()

    def url_for(self, options: Options) -> str:
        """Where its service is for an account with these *options*."""
        return options.url or self.url.format(region=options.region)

    def applied_to(self, upstream: Upstream) -> Upstream:
        """Return *upstream* with what the provider wants, where nothing else was said."""
        options = replace(upstream.options, preset=self.name, url=self.url_for(upstream.options))
        if self.kind is not Kind.SMTP:
            return replace(upstream, kind=self.kind, options=options)
        return replace(
            upstream,
            options=options,
            host=upstream.host or self.host.format(region=options.region),
            port=upstream.port or self.port,
            tls=upstream.tls if upstream.port else self.tls,
            username=upstream.username or (self.username if upstream.password else None),
        )


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "gmail",
            "Gmail and Google Workspace, by SMTP",
            """\
The password is an app password, not that of the account: it needs two-step verification. Make one
at https://myaccount.google.com/apppasswords.
Or log in with tokens: --oauth refresh-token with the id and secret of a client of the kind "Desktop
app" (Google Cloud console, APIs & Services, Credentials), then "relay upstream authorize".
For a whole Workspace: --oauth service-account --key FILE with domain-wide delegation of the scope
https://mail.google.com/, and --subject, the mailbox.
A Gmail account sends to 500 recipients a day, one of Workspace to 2,000.
""",
            host="smtp.gmail.com",
            oauth=replace(_GOOGLE_CONSENT, scope="https://mail.google.com/"),
        ),
        Preset(
            "gmail-api",
            "Gmail and Google Workspace, by its API",
            """\
Switch the Gmail API on in a project of the Google Cloud console, and make a client there.
Consent: --oauth refresh-token, then "relay upstream authorize"; or --oauth service-account --key
FILE with domain-wide delegation of the scope https://www.googleapis.com/auth/gmail.send.
""",
            kind=Kind.GMAIL,
            url="https://gmail.googleapis.com",
            oauth=replace(_GOOGLE_CONSENT, scope="https://www.googleapis.com/auth/gmail.send"),
        ),
        Preset(
            "yahoo",
            "Yahoo Mail",
            """\
The password is an app password, not that of the account: it needs two-step verification. Make one
under Account Security, Generate app password.
""",
            host="smtp.mail.yahoo.com",
            port=465,
            tls=Tls.IMPLICIT,
        ),
        Preset(
            "microsoft365",
            "Microsoft 365, by SMTP",
            """\
Passwords end here at the end of December 2026: log in with tokens. Register an application in
Microsoft Entra (App registrations) and give its id with --client-id, the directory's with --tenant.
Without anybody's consent: --oauth client-credentials with the application permission
SMTP.SendAsApp, its service principal registered in Exchange and given the mailbox.
With consent: --oauth refresh-token, public client flows allowed, then "relay upstream authorize".
SMTP AUTH must be on for the mailbox: Set-CASMailbox -SmtpClientAuthenticationDisabled $false.
""",
            host="smtp.office365.com",
            oauth=replace(_MICROSOFT_CONSENT, scope="https://outlook.office.com/SMTP.Send offline_access"),
        ),
        Preset(
            "graph",
            "Microsoft 365, by Microsoft Graph",
            """\
Register an application in Microsoft Entra; give its id with --client-id, the directory's with
--tenant, and the mailbox with --username.
--oauth client-credentials wants the application permission Mail.Send with an administrator's
consent; limit it to the mailbox with an application access policy.
""",
            kind=Kind.GRAPH,
            url="https://graph.microsoft.com/v1.0",
            oauth=replace(_MICROSOFT_CONSENT, scope="https://graph.microsoft.com/Mail.Send offline_access"),
        ),
        Preset(
            "ses",
            "Amazon SES, by SMTP",
            """\
User name and password are SES's SMTP credentials (SMTP settings, Create SMTP credentials), not an
access key.
Verify the sending domain, and ask to leave the sandbox: until then only verified addresses get
mail.
""",
            host="email-smtp.{region}.amazonaws.com",
            needs=("region",),
        ),
        Preset(
            "ses-api",
            "Amazon SES, by its API",
            """\
The user name is the id of an access key that may ses:SendRawEmail, the password its secret.
Verify the sending domain, and ask to leave the sandbox: until then only verified addresses get
mail.
""",
            kind=Kind.SES,
            url="https://email.{region}.amazonaws.com",
            needs=("region",),
        ),
        Preset(
            "mailgun",
            "Mailgun, by SMTP",
            """\
User name and password stand under Sending, Domain settings, SMTP credentials.
A domain in the EU: add --host smtp.eu.mailgun.org.
""",
            host="smtp.mailgun.org",
        ),
        Preset(
            "mailgun-api",
            "Mailgun, by its API",
            """\
The password is a sending key of the domain (Domain settings, Sending keys); --domain names the
domain.
A domain in the EU: add --url https://api.eu.mailgun.net.
""",
            kind=Kind.MAILGUN,
            url="https://api.mailgun.net",
            needs=("domain",),
        ),
        Preset(
            "postmark",
            "Postmark, by SMTP",
            """\
User name and password are both the server's API token (Servers, API Tokens).
The sender's domain or address must be a confirmed sender signature.
""",
            host="smtp.postmarkapp.com",
        ),
        Preset(
            "postmark-api",
            "Postmark, by its API",
            """\
The password is the server's API token (Servers, API Tokens).
The sender's domain or address must be a confirmed sender signature.
Messages are taken apart: what does not fit is refused (see docs/upstreams.md).
""",
            kind=Kind.POSTMARK,
            url="https://api.postmarkapp.com",
        ),
        Preset(
            "sendgrid",
            "SendGrid, by SMTP",
            """\
The user name is the word "apikey", the password an API key that may send mail (Settings, API Keys).
""",
            host="smtp.sendgrid.net",
            username="apikey",
        ),
        Preset(
            "sendgrid-api",
            "SendGrid, by its API",
            """\
The password is an API key that may send mail (Settings, API Keys).
An account in the EU: add --url https://api.eu.sendgrid.com.
Messages are taken apart: what does not fit is refused (see docs/upstreams.md).
""",
            kind=Kind.SENDGRID,
            url="https://api.sendgrid.com",
        ),
        Preset(
            "brevo",
            "Brevo, by SMTP",
            """\
User name and password are the SMTP login and an SMTP key (SMTP & API), not an API key.
""",
            host="smtp-relay.brevo.com",
        ),
        Preset(
            "brevo-api",
            "Brevo, by its API",
            """\
The password is an API key (SMTP & API, API keys), not an SMTP key.
Messages are taken apart, and must have HTML: what does not fit is refused (see docs/upstreams.md).
""",
            kind=Kind.BREVO,
            url="https://api.brevo.com",
        ),
        Preset(
            "resend",
            "Resend, by SMTP",
            """\
The user name is the word "resend", the password an API key that may send mail.
""",
            host="smtp.resend.com",
            username="resend",
        ),
        Preset(
            "resend-api",
            "Resend, by its API",
            """\
The password is an API key that may send mail.
Messages are taken apart: what does not fit is refused (see docs/upstreams.md).
""",
            kind=Kind.RESEND,
            url="https://api.resend.com",
        ),
        Preset(
            "direct",
            "No provider: straight to each domain's own servers",
            """\
They take mail only from a machine with a fixed address whose name leads back to it (reverse DNS),
for domains whose SPF names that address and whose mail is signed (relay dkim add).
The network must let port 25 out; many do not. See docs/upstreams.md.
""",
            kind=Kind.MX,
        ),
        Preset(
            "http-raw",
            "A service of your own, over HTTP",
            """\
--url is where each message is posted to; the password signs it (see docs/upstreams.md).
""",
            kind=Kind.HTTP_RAW,
        ),
        Preset(
            "generic",
            "Any other server, by SMTP",
            """\
Ask for its host, 587 (STARTTLS) or 465 (implicit TLS), user name and password.
""",
        ),
    )
}


def tokens_for(preset: Preset | None, grant: Grant, *, tenant: str, scope: str) -> OAuth:
    """How tokens are got at this provider, as far as that is known; *scope* "" is the provider's own.

    Microsoft gives applications tokens for all that they may do only, and Google's service accounts
    ask at the same place as everybody.
    """
    known = preset.oauth if preset and preset.oauth else OAuth(grant, "", "")
    is_app = grant is Grant.CLIENT_CREDENTIALS and known.token_url.startswith(_MICROSOFT)
    if is_app and not scope:
        resource = (
            "https://graph.microsoft.com"
            if preset and preset.kind is Kind.GRAPH
            else "https://outlook.office365.com"
        )
        scope = f"{resource}/.default"
    return replace(
        known,
        grant=grant,
        scope=scope or known.scope,
        token_url=known.token_url.replace("{tenant}", tenant),
        device_url=known.device_url.replace("{tenant}", tenant),
        authorize_url=known.authorize_url.replace("{tenant}", tenant),
    )
