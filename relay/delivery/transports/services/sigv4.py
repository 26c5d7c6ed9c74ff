"""AWS Signature Version 4: a pure function, checked against the vectors that AWS publishes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs: an access key, and its secret."""

    access: str
    secret: str = field(repr=False)


def signed_headers(  # noqa: PLR0913  a request, and the scope of its signature
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    *,
    keys: Keys,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """Return *headers* with Host, X-Amz-Date and Authorization for this request."""
    parts = urlsplit(url)
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "Host": parts.netloc, "X-Amz-Date": moment}
    folded = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
    names = ";".join(name for name, _ in folded)
    query = sorted((_quoted(n), _quoted(v)) for n, v in parse_qsl(parts.query, keep_blank_values=True))
    canonical = "\n".join(
        (
            method,
            quote(parts.path or "/", safe="/-_.~%"),
            "&".join(f"{name}={value}" for name, value in query),
            "".join(f"{name}:{value}\n" for name, value in folded),
            names,
            hashlib.sha256(content).hexdigest(),
        )
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    signed["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
