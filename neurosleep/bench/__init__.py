"""Benchmarks behind `neurosleep bench`."""
