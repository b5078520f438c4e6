"""Job files: their schema, the kinds that they may name, and the errors that name a key."""
