"""One check per file; the order of asking is in `relay.policy.CHECKS`."""
