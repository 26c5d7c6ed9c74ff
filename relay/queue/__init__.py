"""The queue is the database, and the only door between submission and delivery.

`states` tells what a delivery can become; `accept`, `claim`, `settle` move it; `control` lets an
operator, and `stops` keep it; `janitor` picks up what was dropped; `browse` shows it, `waiting` says why
it waits; `handover` is the short way for what need not wait; `content` keeps the letters themselves.
"""
