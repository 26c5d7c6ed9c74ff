"""The database: `engine` (write with group commit, read), `tables` (the schema on one page), `types`."""
