"""The words of the product, pure: no I/O, no clock, no database, no log.

Begin with `address`, `envelope` and `reply`; `header` and `mailbox` read the letter's head,
`priority` says how much it hurries, `schedule` when it is tried again.
"""
