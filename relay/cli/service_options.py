"""The options of `relay upstream add` and `edit` that are about providers, services and tokens."""

from typing import Annotated, Literal

import typer

_SERVICES = "Services over HTTP, and direct delivery"
_TOKENS = "Tokens instead of a password"

PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="PROVIDER", help='Set up as this provider wants it: "relay upstream presets".'
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        rich_help_panel=_SERVICES,
        help="Where the service is; presets and all kinds but http-raw know it.",
    ),
]
Domain = Annotated[
    str | None,
    typer.Option(metavar="DOMAIN", rich_help_panel=_SERVICES, help="The sending domain at Mailgun."),
]
Region = Annotated[
    str | None,
    typer.Option(metavar="REGION", rich_help_panel=_SERVICES, help="That of Amazon SES: eu-west-1."),
]
Resolver = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS[:PORT]",
        rich_help_panel=_SERVICES,
        help='The name server that mx asks, "none": those of this machine.',
    ),
]
OAuthGrant = Annotated[
    Literal["client-credentials", "refresh-token", "service-account", "none"] | None,
    typer.Option(
        "--oauth",
        rich_help_panel=_TOKENS,
        help="Log in with tokens, got by this right; the password is then the application's secret.",
    ),
]
ClientId = Annotated[
    str | None,
    typer.Option(metavar="ID", rich_help_panel=_TOKENS, help="The application that tokens are given to."),
]
Tenant = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        rich_help_panel=_TOKENS,
        help="The directory at Microsoft, with --oauth; that of any organization if not given.",
    ),
]
TokenUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", rich_help_panel=_TOKENS, help="Where tokens are got; presets know it."),
]
AuthorizeUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", rich_help_panel=_TOKENS, help="The page where consent is given; presets know it."
    ),
]
DeviceUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        rich_help_panel=_TOKENS,
        help="Where a code to give consent with is got; presets know it.",
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(metavar="TEXT", rich_help_panel=_TOKENS, help="What tokens are for; presets know it."),
]
Subject = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", rich_help_panel=_TOKENS, help="Whom a service account acts for."),
]
Key = Annotated[
    typer.FileText | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_TOKENS,
        help="A service account's key file, as Google gives it, or its key in PEM form.",
        encoding="utf-8-sig",
        errors="replace",
    ),
]
