"""The options of `relay upstream add` and `edit` that are about providers, services and tokens."""

from typing import Annotated, Literal

import typer

PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="PROVIDER", help='Set up as this provider wants it: "relay upstream presets".'
    ),
]
Url = Annotated[str | None, typer.Option(metavar="URL", help="Where a service over HTTP is.")]
Domain = Annotated[str | None, typer.Option(metavar="DOMAIN", help="The sending domain at Mailgun.")]
Region = Annotated[str | None, typer.Option(metavar="REGION", help="That of Amazon SES: eu-west-1.")]
Resolver = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS[:PORT]", help='The name server that mx asks, "none": those of this machine.'
    ),
]
OAuthGrant = Annotated[
    Literal["client-credentials", "refresh-token", "service-account", "none"] | None,
    typer.Option(
        "--oauth", help="Log in with tokens, got by this right; the password is then the client's secret."
    ),
]
ClientId = Annotated[str | None, typer.Option(metavar="ID", help="The application that tokens are given to.")]
Tenant = Annotated[str | None, typer.Option(metavar="ID", help="The directory at Microsoft.")]
TokenUrl = Annotated[str | None, typer.Option(metavar="URL", help="Where tokens are got; presets know it.")]
AuthorizeUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="The page where consent is given; presets know it.")
]
DeviceUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where a code to give consent with is got; presets know it."),
]
Scope = Annotated[str | None, typer.Option(metavar="TEXT", help="What they are for; presets know it.")]
Subject = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Whom a service account acts for.")]
Key = Annotated[
    typer.FileText | None,
    typer.Option(metavar="FILE", help="A service account's key file, as Google gives it."),
]
