"""What metrics.json says of a run."""

from __future__ import annotations

from typing import cast

import torch

from neurosleep.continual import Progress, Strategy, matrix_metrics
from neurosleep.continual.task_free import END
from neurosleep.data import Task
from neurosleep.experiments.divergence import divergence_of
from neurosleep.experiments.metrics import ChipRow, Further, Growth, Metrics, StreamSleepMetrics
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.run.scenario import kind_of
from neurosleep.hardware import chosen_way, load_profile

__all__ = ["add_chips", "metrics_of"]


def metrics_of(request: RunRequest, strategy: Strategy, progress: Progress, tests: list[Task]) -> Metrics:
    """What metrics.json says of a run."""
    last = progress.after[-1] if progress.after else progress.before_sleep[-1]
    counts = [len(task.test_labels) for task in tests]

    def over(accuracies: list[float]) -> float:
        return sum(a * n for a, n in zip(accuracies, counts, strict=True)) / sum(counts)

    overall = over(last)
    done = progress.status == "done"
    square = len(progress.after) == len(tests)
    seconds = {key: round(value, 3) for key, value in progress.seconds.items()}
    populations = list(progress.sleeps[0]["spikes_per_step"]) if progress.sleeps else []
    results: dict[str, float | None] = {"accuracy_all": overall if done else None}
    if done:
        results |= {f"accuracy_all_{name}": over(rows[-1]) for name, rows in progress.read_outs.items()}
    # Of a stream whose last sleep was before its end there is no such figure.
    if strategy.sleeps and done and (not progress.stream or progress.stream[-1]["trigger"] == END):
        results["accuracy_all_before_last_sleep"] = over(progress.before_sleep[-1])
    further: Further = {} if request.settings.note is None else {"note": request.settings.note}
    if square and len(progress.growth) == len(progress.after):
        further["growth"] = _growth(progress)
    if progress.divergence is not None:
        further["divergence"] = divergence_of(progress.divergence)
    if tested := [epoch for epoch in progress.epochs if "tested" in epoch]:
        further["epochs"] = [
            {"task": epoch["task"] + 1, "epoch": epoch["epoch"], "accuracy_all": over(epoch["tested"])}
            for epoch in tested
        ]
    if progress.stream:
        further["stream"] = [
            cast(StreamSleepMetrics, {**sleep, "seconds": round(sleep["seconds"], 3)}) for sleep in progress.stream
        ]
    labels = torch.cat([torch.as_tensor(task.test_labels) for task in tests]).long()
    divergence = next((phase["divergence"] for phase in progress.sleeps if phase["divergence"]), None)
    return {
        **request.name,
        "kind": kind_of(request.settings, len(tests)),
        "split": request.settings.data.split,
        "status": progress.status,
        "data": ", ".join(request.settings.data.sequence or [request.settings.data.name]),
        "reads_old_data": strategy.reads_old_data,
        **further,
        "results": results,
        "accuracy_all": overall if done else None,
        "accuracy_of_a_guess": int(torch.bincount(labels).max()) / len(labels),
        "accuracy_per_task": last,
        "accuracy_matrix": progress.after,
        "replayed": progress.replayed,
        "accuracy_before_sleep": progress.before_sleep if strategy.sleeps else None,
        **matrix_metrics(progress.after if done and square else [[0.0]]),
        "sleep": {
            "steps": [phase["steps"] for phase in progress.sleeps],
            "after_task": [phase["task"] + 1 for phase in progress.sleeps],
            "spikes_per_step": [list(phase["spikes_per_step"].values()) for phase in progress.sleeps],
            "populations": populations,
            "divergence": divergence,
            # Of a sleep phase that did nothing, or that changed much of what was learnt last.
            "notes": [f"after task {n['task'] + 1}: {note}" for n in progress.sleeps for note in n.get("notes", ())],
        },
        "seconds": seconds | {"total": round(sum(seconds.values()), 3)},
    }


def _growth(progress: Progress) -> Growth:
    def of(key: str) -> list[float | None]:
        return [None if (value := task[key]) is None else round(value, 3) for task in progress.growth]

    return {"train_s": of("train"), "sleep_s": of("sleep"), "memory_bytes": of("memory")}


def _slept(request: RunRequest) -> str:
    """Where a network slept before it was put on a chip."""
    if "sleep" in request.parts and "src" not in request.parts:
        nrem = request.settings.nrem
        if nrem.profile is None:
            return "slept before mapping"
        return f"slept on the chip, changing {chosen_way(load_profile(nrem.profile), nrem.way)}"
    if "src" not in request.parts:
        return "no sleep"
    sleep = request.settings.sleep
    if sleep.profile is None:
        return "slept before mapping"
    rounding = str(sleep.rounding or load_profile(sleep.profile).learning.update_rounding)
    return f"slept on the chip, rounding {'by chance' if rounding == 'stochastic' else rounding.replace('_', ' ')}"


def add_chips(request: RunRequest, rows: list[ChipRow], metrics: Metrics) -> None:
    """Add a deployment to the metrics: its rows, and their numbers among the results."""
    for row in rows:
        results = {"accuracy": row["mapped"], "cores": row["cores"]}
        if row["energy"] is not None:
            results |= {"low_j": row["energy"]["low_j"], "high_j": row["energy"]["high_j"]}
        metrics["results"] |= {f"{row['profile']}.{key}": value for key, value in results.items()}
    metrics["kind"], metrics["hardware"] = "hardware", [{**row, "slept": _slept(request)} for row in rows]
