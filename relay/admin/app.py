"""The application: its routes in one table, its headers around all of them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from relay.admin import consent, health, metrics
from relay.admin.house import House
from relay.admin.security import SecurityHeaders

ROUTERS = (health.router, metrics.router)


def build(house: House) -> ASGIApp:
    """Return the application that shows *house*."""
    # No generated documentation: its page would load scripts from elsewhere.  And no redirection of what
    # ends with a slash: it would lead to whatever host the client named, without TLS, a link's token with it.
    app = FastAPI(title="SMTP relay", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.house = house
    for router in ROUTERS:
        app.include_router(router)
    if house.config.admin.public_url:  # or no letter has a link to it
        app.include_router(consent.router)
    return SecurityHeaders(app)  # outermost, so that an error's answer has them too
