"""One night: drive, rule and engine."""
