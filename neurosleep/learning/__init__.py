"""How an awake network learns one task."""
