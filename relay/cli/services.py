"""What `relay upstream add` and `edit` say of a provider, a service over HTTP, and tokens to log in with."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import typer

from relay.routing.options import Grant, OAuth, Options
from relay.routing.presets import PRESETS, tokens_for
from relay.routing.upstreams import Kind, Password, Upstream
from relay.sealing import Sealer

_NONE = "none"
_ANY_TENANT = "organizations"


@dataclass(frozen=True, slots=True)
class ServiceWanted:
    """The options as they were given; None: not given, and left as it is.  `key` is a file's content."""

    preset: str | None = None
    url: str | None = None
    domain: str | None = None
    region: str | None = None
    resolver: str | None = None
    oauth: str | None = None
    client_id: str | None = None
    tenant: str | None = None
    token_url: str | None = None
    authorize_url: str | None = None
    device_url: str | None = None
    scope: str | None = None
    subject: str | None = None
    key: str | None = None

    def applied_to(self, upstream: Upstream, sealer: Sealer) -> Upstream:
        """Return *upstream* with what is wanted.  Raises typer's BadParameter."""
        options = upstream.options
        told: dict[str, Any] = {
            "url": self.url,
            "domain": self.domain,
            "region": self.region,
            "resolver": "" if self.resolver == _NONE else self.resolver,
            "preset": self.preset,
        }
        options = replace(options, **{name: value for name, value in told.items() if value is not None})
        upstream = replace(upstream, options=options)
        if self.preset is not None:
            preset = PRESETS[self.preset]
            for name in preset.needs:
                if not getattr(options, name):
                    raise typer.BadParameter(f"{preset.title} needs it.", param_hint=f"--{name}")
            upstream = preset.applied_to(upstream)
        elif not options.url and upstream.kind.is_http:
            usual = next(preset for preset in PRESETS.values() if preset.kind is upstream.kind)
            upstream = replace(upstream, options=replace(options, url=usual.url_for(options)))
        options = replace(upstream.options, oauth=self._tokens(upstream.options))
        if upstream.kind is not Kind.HTTP_RAW:  # a path of the provider's follows
            options = replace(options, url=options.url.rstrip("/"))
        upstream = replace(upstream, options=options)
        return self._with_key(upstream, sealer) if self.key is not None else upstream

    def _tokens(self, options: Options) -> OAuth | None:
        if self.oauth == _NONE:
            return None
        oauth = options.oauth
        preset = PRESETS.get(options.preset)
        if self.tenant is not None and self.oauth is None:
            raise typer.BadParameter("it goes with --oauth: give that, too.", param_hint="--tenant")
        if self.oauth is not None and oauth is not None and (preset is None or preset.oauth is None):
            oauth = replace(oauth, grant=Grant(self.oauth))  # all that is known of the provider
        elif self.oauth is not None:
            fresh = tokens_for(
                preset, Grant(self.oauth), tenant=self.tenant or _ANY_TENANT, scope=self.scope or ""
            )
            oauth = replace(fresh, client_id=oauth.client_id if oauth else "")
        told: dict[str, Any] = {
            "client_id": self.client_id,
            "token_url": self.token_url,
            "authorize_url": self.authorize_url,
            "device_url": self.device_url,
            "scope": self.scope,
            "subject": self.subject,
        }
        told = {name: value for name, value in told.items() if value is not None}
        if oauth is None and told:
            raise typer.BadParameter("say by what right tokens are got.", param_hint="--oauth")
        return replace(oauth, **told) if oauth else None

    def _with_key(self, upstream: Upstream, sealer: Sealer) -> Upstream:
        """Take the private key, and whose it is, out of a service account's key file, or from bare PEM."""
        oauth, key = upstream.options.oauth, self.key or ""
        if oauth is None:
            raise typer.BadParameter("a key is for --oauth service-account.", param_hint="--key")
        if key.lstrip().startswith("{"):
            try:
                found = json.loads(key)
                key = found["private_key"]
                told = {"client_id": found["client_email"], "token_url": found["token_uri"]}
            except (ValueError, KeyError, TypeError):
                raise typer.BadParameter(
                    "that is no key file of a service account.", param_hint="--key"
                ) from None
            oauth = replace(oauth, **told)
        password = Password(sealer.seal(key), sealer)
        return replace(upstream, password=password, options=replace(upstream.options, oauth=oauth))


NOTHING_WANTED = ServiceWanted()


def needs_consent(upstream: Upstream) -> bool:
    """Whether somebody has yet to give consent before it can be tried."""
    return upstream.options.oauth is not None and upstream.options.oauth.grant is Grant.REFRESH_TOKEN


def how_to_consent(upstream: Upstream) -> str:
    """What is yet to be done before there are tokens, as far as it is known where."""
    oauth, name = upstream.options.oauth, upstream.name
    if oauth is not None and (oauth.device_url or oauth.authorize_url):
        return f'Now give consent: "relay upstream authorize {name}".'
    return (
        f'Enter a refresh token that you have: "relay upstream authorize {name} --refresh-token-stdin". '
        f'Or say where consent is given: "relay upstream edit {name}" with --device-url, for a code to '
        "type in, or --authorize-url, for a page in a browser."
    )


def login_words(upstream: Upstream) -> str | None:
    """How the upstream is logged in to, in a few words."""
    oauth = upstream.options.oauth
    whom = upstream.username or ""
    if oauth is not None:
        return f"{whom} with tokens ({oauth.grant.value})".strip()
    if upstream.kind is Kind.HTTP_RAW:
        return "signed" if upstream.password else None
    return f"{whom} with a password".strip() if upstream.username or upstream.password else None


def one_preset(name: str | None) -> str | None:
    """The name of a preset as it was given.  Raises typer's BadParameter with those that there are."""
    if name is not None and name not in PRESETS:
        raise typer.BadParameter(f'"{name}" is none of {", ".join(PRESETS)}.', param_hint="--preset")
    return name
