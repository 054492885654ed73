"""Runs side by side: in processes of their own, or on the workers of a cluster."""
