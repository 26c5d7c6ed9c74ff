"""How a page for people looks: one file of HTML, without scripts, readable on a phone and in the dark."""

from __future__ import annotations

import base64
import hashlib

from fastapi.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6673; --ground: #f2f4f7; --sheet: #fff;
  --line: #d9dfe6; --deed: #14619c }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9aa7b4; --ground: #12171d;
  --sheet: #1b222a; --line: #303a45; --deed: #2f83c5 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.55;
  font: 1.0625rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
main { max-width: 36rem; margin: 8vh auto; padding: 2rem; background: var(--sheet);
  border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0 0 1.25rem; font-size: 1.375rem; line-height: 1.3 }
dl { margin: 0 0 1.25rem; border-top: 1px solid var(--line) }
dl div { display: flex; flex-wrap: wrap; padding: .6rem 0; border-bottom: 1px solid var(--line) }
dt { flex: 0 0 10.5rem; color: var(--soft) }
dd { flex: 1 1 14rem; margin: 0; font-weight: 600; overflow-wrap: anywhere }
p { margin: 0 0 1rem }
button { width: 100%; padding: .85rem 1rem; border: 0; border-radius: .5rem; background: var(--deed);
  color: #fff; font: inherit; font-weight: 600; cursor: pointer }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px }
.soft { margin: 1.25rem 0 0; color: var(--soft); font-size: .9375rem }
@media (max-width: 40rem) { main { margin: 0; min-height: 100vh; padding: 1.5rem 1.25rem; border: 0;
  border-radius: 0 } }
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    """Return a page; *title* and *body* are HTML, so what comes from elsewhere in them is escaped already.

    Nothing but its own style sheet is let in, by its digest.
    """
    content = _PAGE.format(title=title, body=body, style=_STYLE)
    return HTMLResponse(content, status, headers={"Content-Security-Policy": _POLICY})
