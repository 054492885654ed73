"""What a Dask scheduler and its workers import of this package by name.

It is light, since the scheduler, which computes nothing, imports it too, and a worker does in its event loop; what
computes is imported by the thread that a task runs in.
"""

from __future__ import annotations

import asyncio

__all__ = ["describe", "run_parcel"]


def run_parcel(content: bytes) -> bytes:
    """Run the request in a parcel; the files of its folder come back."""
    from neurosleep.experiments.run import remote

    return remote.run_parcel(content)


async def describe(content: bytes) -> str:
    """What stands in the way of requests on this worker, as JSON, whatever else it is at."""
    return await asyncio.to_thread(_described, content)


def _described(content: bytes) -> str:
    from neurosleep.experiments.run import remote

    return remote.describe(content)
