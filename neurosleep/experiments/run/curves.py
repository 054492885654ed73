"""What an event of a run adds to curves: the same names and steps whoever draws them."""

from __future__ import annotations

from collections.abc import Iterator

from neurosleep.experiments.run.events import Event

__all__ = ["points"]


def points(event: Event) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of each point that an event adds to the curves."""
    if event["event"] == "sleep":
        values = {f"rates/{name}": rate for name, rate in event["rates"].items()}
        values |= {f"weight_change/{name}": change for name, change in event.get("weight_change", {}).items()}
        values["accuracy_all"] = event.get("accuracy_all")
        # Over the steps of all sleep phases so far, so that the curves go on from one to the next.
        at = event["asleep"]
        yield from ((f"asleep/{name}", value, at) for name, value in values.items() if value is not None)
    elif event["event"] == "phase":
        at = 2 * event["task"] - (event["phase"] == "wake")
        values = {f"task {k}": value for k, value in enumerate(event["accuracy"], start=1)}
        values = {"accuracy_all": event["accuracy_all"]} | values
        yield from ((f"after each phase/{name}", value, at) for name, value in values.items() if value is not None)
