"""Who may submit: users and their grants, how they prove who they are, and how much they sent.

`users` are what an operator edits, `credentials` what a client logs in with, `verifier` decides at
the door, `passwords` knows how a password is kept, `usage` counts.
"""
