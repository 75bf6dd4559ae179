"""Plain networks: they know no method and no data set."""
