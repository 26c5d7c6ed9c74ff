"""The door out: what is due goes to an upstream, and each recipient's end is written down.

`worker` takes deliveries from the queue and shares them out to `lane`s, one an upstream; a lane
keeps the connections and gives the most urgent delivery the next one; `attempt` makes of the
answers what is settled, and `ledger` settles it; `classify` says what every fault means; `transports`
speak to upstreams; `check` walks the steps to one and tells how far it got.
"""
