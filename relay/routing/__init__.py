"""Where mail goes: upstreams (a next hop each), routes (the rule that picks them), and how they fare.

`upstreams` and `routes` are read, `changes` writes them, `soundness` says what makes no sense, and
`health` keeps what those who talk to an upstream saw.
"""
