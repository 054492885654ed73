"""Pages of the documentation: every setting of an experiment with what it means, and every experiment of the package.

What a setting means stands in the docstring of the class that takes it; of those that no class takes it is said here.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import textwrap
import tomllib
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from neurosleep.continual import STRATEGIES
from neurosleep.experiments.files import experiment_names
from neurosleep.experiments.reading import all_settings, kinds_with, load_published, variant_names
from neurosleep.experiments.run.deployment import Deployment
from neurosleep.functional import Homeostasis, SlowOscillation
from neurosleep.learning import BPTT, Backprop, ContrastiveHebbian, EquilibriumPropagation, PhasedLearning
from neurosleep.networks import MLP, ConvNet, DendriticMLP, EquilibriumConv, EquilibriumMLP
from neurosleep.replay import NREM, REM, Sleep

ROOT = Path(__file__).parents[1]

# The classes that take the settings of a table, the first that knows a name tells of it.
TAKERS: dict[str, tuple[type, ...]] = {
    "network": (MLP, EquilibriumMLP, ConvNet, EquilibriumConv, DendriticMLP),
    "wake": (Backprop, PhasedLearning, EquilibriumPropagation, BPTT, ContrastiveHebbian),
    "sleep": (Sleep, REM),
    "nrem": (NREM, Homeostasis, SlowOscillation, STRATEGIES["sleep"]),
    "hardware": (Deployment,),
    **{name: (STRATEGIES[name],) for name in ("ewc", "si", "owm", "lwf", "rehearsal", "icarl")},
}
SAID: dict[str, str] = {
    "engine": "The engine that steps the sleeping network.",
    "device": "Where networks sleep: `cpu`, `cuda` or `cuda:1` (by the engine `torch` unless another is named); they "
    "learn on the CPU.",
    "record": "What is recorded of a sleep: `counts`, or `all` for every spike.",
    "analyse": "Whether tables and figures of the last sleep phase, or of how a network settles, are written too.",
    "faithful": "Whether known bugs of the authors' released code are kept; by default they are fixed.",
    "order": "Of strategies that work together: `sleep-first` or `sleep-last` after each task.",
    "note": "Free-text note that every result of the experiment shows.",
    "data.name": "The data set, or `features:PATH`.",
    "data.sequence": "Names of data sets that are learnt one after another, with the same classes (cross-modal).",
    "data.tasks": "The classes of each task; else consecutive ones.",
    "data.classes_per_task": "How many classes a task has, where `tasks` is not given.",
    "data.order": "Order of the classes in the tasks: ascending (`label`), or drawn for each seed (`random`).",
    "data.images_per_task": "Use only the first N images of each task; by default all.",
    "data.split": "`test`, or `validation`: the last tenth of each class of the training images, then not trained on.",
    "data.evaluate": "What is evaluated on: `test` or `train` images.",
    "data.control": "What the strategy `sequential` learns: the `sequence`, or the `last` task alone.",
    "data.scale": "How inputs are scaled: `none`, by the `maximum` of the training images, each part by its own "
    "(`maximum-of-each`), or `standard`: less their mean, over their deviation.",
    "data.deviations": "With `standard`: number of standard deviations that are scaled to 1.",
    "data.width": "Of the data set `patches`: side of the images in pixels.",
    "data.overlap": "Of `patches`: pixels that all images share.",
    "data.permutations": "So many tasks with all classes each, through one fixed permutation of the pixels per task.",
    "data.standardise": "Whether inputs are less the mean of the first task's training inputs, over their deviation.",
    "data.images_per_class": "Use only the first N images of each class in a task, as if there were no others.",
    "data.class_shares": "For each class the share of its training images that there is, above 0 to 1 (unbalanced).",
    "data.noise": "Noise in the test images: `gaussian`, `salt-and-pepper` or `blur`.",
    "data.noise_strength": "Standard deviation of the noise (intensities are 0 to 1), share of the values, or pixels.",
    "data.blur": "With `parts`: how far images are moved along the stream of tasks, in lengths of a task; classes then "
    "come and go smoothly.",
    "data.parts": "Into how many parts a stream with `blur` is cut; accuracy is measured after each.",
    "data.tests_per_task": "Evaluate on so many test images of each task, evenly from all over them.",
    "data.test_each_epoch": "Whether the test images are evaluated after each epoch too: `epochs` in metrics.json.",
    "network.kind": "`mlp`, `conv`, `equilibrium`, `equilibrium-conv` or `dendritic`.",
    "network.dt_distribution": "Distribution that each unit's time step is drawn from, once.",
    "network.dt_spread": "Spread of that distribution; else its own.",
    "network.dt_control": "Whether every unit takes the mean of the steps that would be drawn: the control.",
    "network.pool": "Of `conv`, `equilibrium-conv`: size and stride of each pooling window (1: none).",
    "network.pooling": "Of `conv` and `equilibrium-conv`: `max` or `average`.",
    "network.full": "Of `conv`, `equilibrium-conv`: units of fully connected layers between convolutions and output.",
    "wake.kind": "How the network learns: `backprop`, `ep`, `bptt` or `chl`.",
    "wake.lr_per_task": "Learning rates of the tasks in turn; the last counts for all further ones.",
    "wake.epochs_per_task": "Epochs of the tasks in turn; the last counts for all further ones.",
    "wake.freeze_after_first": "Layers fixed after the first task: `conv` (convolutions), `hidden` (all but last).",
    "wake.lr_per_layer": "Learning rates of the layers, input side first, in place of one for all.",
    "joint.epochs": "Epochs of joint training, where they are others.",
    "nrem.downscale": "What a layer's averages are multiplied with to make its target; above 0, at most 1 (none).",
    "nrem.every_batches": "Batches from one nap, a short sleep in the middle of a task, to the next; none by default.",
    "nrem.nap_damping": "Share of the way to the target that a nap goes, times `nrem.damping`; above 0, at most 1.",
    "nrem.every_samples": "Sleep after so many samples learnt, not where a task ends; and once at the stream's end.",
    "nrem.drift": "Sleep where the inputs drift, and not where a task ends: the threshold of Page and Hinkley's test.",
    "nrem.drift_window": "Samples whose mean that test looks at.",
    "sleep.rule": "The plasticity rule by its `name`, and its parameters as `sleep.rule.inc` and so on.",
    "sleep.decay": "Factor of the potential per step.",
    "sleep.compare": "Comparison at the threshold, `>=` or `>`.",
}
_HEAD = """# Settings

Every setting of an experiment, by the dotted name that `--set` and the keys of a TOML file have. Some exist only for
some kinds of network or of learning; one that a kind does not have is an error that names it. No default: not set.

"""

_EXPERIMENTS = """# Experiments

`neurosleep run NAME` runs one. [Settings](settings.md) explains the settings, and [Results](../results/index.md) shows
what they reach. Published is the accuracy over all classes that the publication reports.
"""


def _tool(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def parameters(cls: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say of each parameter, as one line of Markdown."""
    found: dict[str, str] = {}
    for owner in cls.__mro__:
        text = textwrap.dedent("    " + (owner.__dict__.get("__doc__") or ""))
        section = re.search(r"Parameters\n-+\n(.*?)(?=\n\n\S[^\n]*\n-+\n|\Z)", text, flags=re.DOTALL)
        for match in re.finditer(r"(?m)^(\w[\w, ]*):\n((?: +.*\n?|\n)+)", section[1] if section else ""):
            said = _tool("docs_docstrings").markdown(" ".join(match[2].split())).strip()
            for name in match[1].split(","):
                found.setdefault(name.strip(), said)
    return found


def meaning(path: str) -> str | None:
    """What a setting means; None where nobody says it."""
    if path in SAID:
        return SAID[path]
    table, _, key = path.partition(".")
    return next((said for taker in TAKERS.get(table, ()) if (said := parameters(taker).get(key))), None)


def paths() -> list[tuple[str, Any, Any]]:
    """Every setting with its type and default."""
    tables = dict.fromkeys(path.partition(".")[0] for path in all_settings())
    found = [(path, *what) for name in tables for path, what in all_settings().items() if path.split(".")[0] == name]
    return [*found, ("sleep.rule", dict, {"name": "src"})]


def _type(hint: Any) -> str:
    """The type of a setting as a word."""
    choices = [choice for choice in get_args(hint) or (hint,) if choice is not type(None)]
    first = choices[0] if get_origin(hint) is not tuple else hint
    if get_origin(first) is tuple:
        return "list"
    if get_origin(first) is Literal:
        return "str"
    return first.__name__ if isinstance(first, type) else type(first).__name__


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        value = [*value]
    if isinstance(value, float):
        return f"`{value:.6g}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def settings_page() -> str:
    """All settings, a table for each table of the file."""
    parts, last = [_HEAD], None
    for path, hint, default in paths():
        table, _, key = path.partition(".")
        title = table if key else "The file itself"
        if title != last:
            heading = f"`[{title}]`" if key else title
            parts.append(f"\n## {heading}\n\n| setting | type | default | meaning |\n| --- | --- | --- | --- |\n")
            last = title
        said = (meaning(path) or "").replace("|", "\\|")
        if kinds_with(path):
            said += f" Only {', '.join(f'`{name}`' for name in kinds_with(path))}."
        parts.append(f"| `{path}` | {_type(hint)} | {_shown(default)} | {said} |\n")
    return "".join(parts)


def experiments_page() -> str:
    """All experiments of the package, by group."""
    parts, last = [_EXPERIMENTS], None
    for name in experiment_names():
        group = name.split("/")[0]
        if group != last:
            header = "| experiment | what it is | variants | published |\n| --- | --- | --- | --- |"
            parts.append(f"\n## {group}\n\n{header}\n")
            last = group
        text = (resources.files("neurosleep") / "experiments" / "published" / f"{name}.toml").read_text(
            encoding="utf-8"
        )
        told = re.match(r"(?:#.*\n)+", text)
        said = " ".join(line.lstrip("# ") for line in told[0].splitlines()) if told else _extends(text)
        said = re.split(r"(?<=[.:]) (?=[A-Z])", said, maxsplit=1)[0].replace("|", "\\|")
        variants = ", ".join(f"`{variant}`" for variant in variant_names(name))
        published = ", ".join(f"{strategy} {figure.mean:g} %" for strategy, figure in load_published(name).items())
        parts.append(f"| `{name}` | {said} | {variants} | {published} |\n")
    return "".join(parts)


def _extends(text: str) -> str:
    base = tomllib.loads(text).get("extends")
    return f"As `{base}`." if base else ""
