"""Benchmarks behind ``neurosleep bench``: ratios to peers, taken in one process."""

from neurosleep.bench._sleep import bench_sleep

BENCHMARKS = {"sleep": bench_sleep}

__all__ = ["BENCHMARKS", "bench_sleep"]
