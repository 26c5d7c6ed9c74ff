"""Whose certificates an upstream may show."""

from __future__ import annotations

import asyncio
import ssl

from relay.routing.upstreams import Upstream


def tls_context(upstream: Upstream) -> ssl.SSLContext:
    """What to demand of *upstream*'s certificate.

    Pinned certificates take the place of the system's and are believed whether they are
    authorities or the server's own.  Without `verify_tls` the name is not compared, and, unless
    something is pinned, nothing is: that only keeps out those who just listen.

    Raises ssl.SSLError if what is pinned is no certificate.  Reads the system's certificates, which
    takes some 20 ms.
    """
    context = ssl.create_default_context(cadata=upstream.pinned_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    if upstream.pinned_ca:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # From 3.13 on Python sets it, and would refuse what a small authority omits of RFC 5280 §4.2.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not upstream.verify_tls:
        context.check_hostname = False
        if not upstream.pinned_ca:
            context.verify_mode = ssl.CERT_NONE
    return context


class Trust:
    """The TLS context of one upstream, made when it is first needed: that costs more than a handshake."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._context: ssl.SSLContext | None = None

    async def __call__(self) -> ssl.SSLContext:
        """The context.  Raises ssl.SSLError if what is pinned is no certificate."""
        if self._context is None:
            self._context = await asyncio.to_thread(tls_context, self._upstream)
        return self._context
