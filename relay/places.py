"""Where something listens, in one word."""


def host_and_port(host: str, port: int | str) -> str:
    """Write *host* and *port* as a URL has them: an address of IPv6 stands in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
