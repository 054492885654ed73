"""Settings that were found by a search: a complete experiment file with the search written down in it.

The committed ones lie beside their experiment, ``tuned/mnist.src.toml`` beside ``mnist.toml``; a user's own likewise.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from neurosleep.errors import SettingsError
from neurosleep.experiments.changes import Change, dump_toml, toml_value
from neurosleep.experiments.experiment import Experiment, Table
from neurosleep.experiments.files import experiment_names, read_experiment
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.reading import apply_changes, load_settings
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.variant_parts import tuned_variant

__all__ = [
    "command_with_data",
    "load_tuned",
    "tuned_file",
    "tuned_names",
    "tuned_record",
    "with_tuned",
]


def _folder(experiment: str) -> tuple[Path, str]:
    """Folder of the tuned settings of an experiment, and what their names start with."""
    if experiment.endswith(".toml"):
        return Path(experiment).parent / "tuned", Path(experiment).stem
    group, _, name = experiment.rpartition("/")
    return Path(str(resources.files("neurosleep") / "experiments" / "published"), group, "tuned"), name


def _file(experiment: str, strategy: str, variant: str) -> Path:
    folder, name = _folder(experiment)
    parts = [name, *([] if variant == "default" else [folder_name("variant", variant)])]
    return folder / ".".join([*parts, folder_name("strategy", strategy), "toml"])


def tuned_names(experiment: str, variant: str = "default") -> tuple[str, ...]:
    """The strategies that have tuned settings beside ``experiment``, in this ``variant`` of it."""
    folder, name = _folder(experiment)
    names = (file.name for file in folder.glob("*.toml")) if folder.is_dir() else ()
    # A strategy has no dot in its name, a variant may have.
    parts = (file.removesuffix(".toml").rpartition(".") for file in names)
    own = name if variant == "default" else f"{name}.{variant}"
    return tuple(sorted(strategy for before, _, strategy in parts if before == own))


def load_tuned(experiment: str, strategy: str, variant: str = "default") -> Experiment:
    """The settings found for ``strategy`` in a ``variant`` of the experiment's file.

    Raises
    ------
    SettingsError
        If there are none, or the file that holds them cannot be read (see :func:`load_settings`).

    See Also
    --------
    tune : finds them
    with_tuned : a request with them

    Examples
    --------
    >>> from neurosleep.experiments import load_tuned
    >>> load_tuned("src2022/mnist", "ewc").ewc.strength
    43.1199
    """
    names = tuned_names(experiment, variant)
    if strategy not in names:
        what, option = ("", "") if variant == "default" else (f" in the variant {variant!r}", f" --variant {variant}")
        raise SettingsError(
            f"There are no tuned settings for {strategy!r} beside {experiment!r}{what}.",
            expected="one of: " + (", ".join(names) or "none so far"),
            hint=f"neurosleep tune {experiment}{option} --strategy {strategy} --trials N finds some",
        )
    return load_settings(str(_file(experiment, strategy, variant)))[1]


def tuned_record(experiment: str, strategy: str, variant: str = "default") -> Table:
    """How the settings for ``strategy`` were found: the table ``tuned`` of their file; raises as :func:`load_tuned`."""
    load_tuned(experiment, strategy, variant)
    record: Table = read_experiment(str(_file(experiment, strategy, variant)))[1].get("tuned", {})
    return record


def with_tuned(request: RunRequest, experiment: str, changes: Sequence[Change]) -> RunRequest:
    """``request`` with the tuned settings of its strategy, changed by ``changes``, in a variant of its own.

    See Also
    --------
    load_tuned : the settings

    Examples
    --------
    >>> from neurosleep.experiments import RunRequest, load_settings, with_tuned
    >>> name, settings = load_settings("src2022/mnist", strategy="ewc")
    >>> request = RunRequest(name, "default", "ewc", 0, settings, data=None, out="out")
    >>> with_tuned(request, "src2022/mnist", changes=[]).variant
    'tuned'
    """
    base = tuned_variant(experiment, request.variant)
    settings = apply_changes(load_tuned(experiment, request.strategy, base), changes)
    variant = "tuned" if request.variant == "default" else f"tuned,{request.variant}"
    return replace(request, settings=settings, variant=variant)


def tuned_file(settings: Experiment, header: Mapping[str, object], space: Mapping[str, Mapping[str, object]]) -> str:
    """An experiment file of ``settings``; ``header`` and the search ``space`` go into its table ``tuned``.

    ``header`` holds plain values, lists and flat tables; a value None is left out.
    """
    rows = [f"{key} = {toml_value(value)}" for key, value in header.items() if value is not None]
    # The keys of the space are in quotes: each names one setting, not a table.
    ranges = [f"{json.dumps(key)} = {toml_value(entry)}" for key, entry in space.items()]
    source = header["experiment"] if header["experiment"] in experiment_names() else f"{header['experiment']}.toml"
    if header.get("variant"):
        source += f" ({header['variant']})"
    return "\n".join(
        [
            f"# Settings of {source} for the strategy {header['strategy']}, found by neurosleep tune; how: at the end.",
            dump_toml(settings),
            "[tuned]",
            *rows,
            "",
            "[tuned.space]",
            *ranges,
            "",
        ]
    )


def command_with_data(command: str, data: str | None, out: str | None = None) -> str:
    """``command`` with the folders of data and output written as DATA and OUT, where they are words of their own.

    Such a command is committed with what it found, and somebody's folders are nobody else's business.
    """
    words: dict[str, str] = {}
    for folder, name in ((out, "OUT"), (data, "DATA")):
        if folder:
            words |= {folder: name, f"--{name.lower()}={folder}": f"--{name.lower()}={name}"}
    return shlex.join(words.get(word, word) for word in shlex.split(command)) if words else command
