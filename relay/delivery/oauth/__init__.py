"""Tokens to log in to upstreams with (OAuth 2.0): refreshed ahead, once for all processes.

`grants` writes what a token endpoint is asked and reads what it answers; `endpoint` asks it; `tokens`
keeps what it gave; `consent` is how somebody gives an upstream the right to tokens in the first place.
"""
