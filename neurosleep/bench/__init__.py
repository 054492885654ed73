"""Benchmarks behind ``neurosleep bench``: ratios, of times taken in one process."""

from neurosleep.bench._bench_sleep import bench_sleep
from neurosleep.bench._consolidate import bench_consolidate
from neurosleep.bench._ep import bench_ep
from neurosleep.bench._growth import bench_growth
from neurosleep.bench._map import bench_map
from neurosleep.bench._record import bench_record
from neurosleep.bench._schedule import bench_schedule
from neurosleep.bench._simulate import bench_simulate

BENCHMARKS = {
    "consolidate": bench_consolidate,
    "ep": bench_ep,
    "growth": bench_growth,
    "map": bench_map,
    "record": bench_record,
    "schedule": bench_schedule,
    "simulate": bench_simulate,
    "sleep": bench_sleep,
}

__all__ = [
    "BENCHMARKS",
    "bench_consolidate",
    "bench_ep",
    "bench_growth",
    "bench_map",
    "bench_record",
    "bench_schedule",
    "bench_simulate",
    "bench_sleep",
]
