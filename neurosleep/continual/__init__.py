"""Task sequences, strategies, metrics."""
