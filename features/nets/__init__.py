"""Networks as plain torch modules, each with the names and shapes of its public weights."""
