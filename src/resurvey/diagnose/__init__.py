"""Is the map wrong, and how: every measurement a `Finding` with its interval, level and evidence."""
