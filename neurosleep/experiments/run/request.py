"""What a run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.metrics import RunName
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.run_folder import RunFolder

__all__ = ["RunRequest"]


@dataclass(frozen=True)
class RunRequest:
    """One run: what, with which settings, from where, to where.

    Parameters
    ----------
    experiment, variant, strategy, seed:
        Its place in the output folder.
    settings:
        Its settings (:func:`~neurosleep.experiments.reading.load_settings`).
    data:
        Folder of the data sets, or None.
    out:
        Output folder.
    resume:
        Whether to go on in a folder that exists.
    command:
        The command line, for the record.
    force:
        Whether to go on with a stored state although the data or the packages are others now, or although it is of a
        version that wrote no checksum; the metrics then say so under ``resumed_with``.
    figures:
        Whether to draw the figures of the run into its folder; of a short run they take most of the time.

    See Also
    --------
    run_experiment, run_one : run it
    load_settings : its settings

    Examples
    --------
    >>> from neurosleep.experiments import RunRequest, load_settings
    >>> name, settings = load_settings("src2022/patches", strategy="src")
    >>> request = RunRequest(name, "default", "src", 0, settings, data=None, out="out")
    >>> request.name
    {'experiment': 'src2022/patches', 'variant': 'default', 'strategy': 'src', 'seed': 0}
    """

    experiment: str
    variant: str
    strategy: str
    seed: int
    settings: Experiment
    data: str | None
    out: str
    resume: bool = False
    command: str = ""
    force: bool = False
    figures: bool = True

    @property
    def folder(self) -> RunFolder:
        """Its run folder, which lies in the output folder whatever the names are."""
        names = (
            folder_name("experiment", self.experiment, levels=True),
            folder_name("variant", self.variant),
            folder_name("strategy", self.strategy),
            folder_name("seed", f"seed{self.seed}"),
        )
        return RunFolder(Path(self.out, *names), Path(self.out))

    @property
    def name(self) -> RunName:
        """What it is called in metrics and messages."""
        return {
            "experiment": self.experiment,
            "variant": self.variant,
            "strategy": self.strategy,
            "seed": self.seed,
        }

    @property
    def parts(self) -> list[str]:
        """The strategies that its own is joined from."""
        return self.strategy.split("+")
