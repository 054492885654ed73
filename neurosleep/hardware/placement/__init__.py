"""Which core holds what."""
