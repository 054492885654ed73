"""Searching for settings.

A search varies the settings that you name, runs each choice as `neurosleep run` would, and judges it by the
validation split: the last tenth of the training images of each class, which are then not trained on. The test
images are never looked at. It is Optuna that searches (extra `tune`), and its journal can be read as any other.
"""

import tempfile
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from neurosleep import plot
from neurosleep.experiments import RunRequest, TuneRequest, load_settings, search_space, tune

# %% An experiment file of your own: what differs from the packaged one, and what may vary.
EXPERIMENT = """
extends = "demo/mnist-mini"
record = "counts"
[data]
images_per_task = 200
tasks = [[0, 1], [2, 3], [4, 5]]
[network]
sizes = [784, 100, 10]
[sleep]
steps = 500
thresholds = [1.0, 1.0]
[tune.src]
"sleep.alpha_scale" = { low = 0.3, high = 30.0, log = true }
"sleep.rule.inc" = { low = 0.001, high = 0.1, log = true }
"""

# %% 20 trials, each the mean of one tuning seed; the same as `neurosleep tune search.toml --trials 20 --seeds 1`.
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "search.toml")
    file.write_text(EXPERIMENT, encoding="utf-8")
    name, settings = load_settings(str(file), strategy="src")
    run = RunRequest(name, "default", "src", seed=0, settings=settings, data=None, out=folder)
    request = TuneRequest(run, search_space(str(file), "src", settings), trials=20, seeds=1)
    result = tune(request)
    journal = JournalFileBackend(str(request.folder / "journal.log"))
    trials = optuna.load_study(study_name="tune", storage=JournalStorage(journal)).trials
print(result["best"], result["validation"])

# %% Every trial over each of the two settings: where one decides, the dots rise or fall along it; the ring is the best.
fig, values = plot.figure(8.0, 3.6), [100 * trial.value for trial in trials]
panels = fig.subplots(1, 2, sharey=True)
for ax, key in zip(panels, trials[0].params, strict=True):
    ax.plot([trial.params[key] for trial in trials], values, "o", color=plot.PALETTE[0], alpha=0.7)
    ax.plot(result["best"][key], max(values), "o", markersize=11, markerfacecolor="none", color=plot.PALETTE[1])
    ax.set(xscale="log", xlabel=key)
    ax.tick_params(which="minor", labelbottom=False)
    ax.spines[["top", "right"]].set_visible(False)
panels[0].set_ylabel("validation accuracy (%)")

if __name__ == "__main__":
    plot.save(fig, "plot_tuning.png")
