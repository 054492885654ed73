"""Settings of an experiment: a TOML file, changed by dotted keys, checked against the keys and types that exist."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from neurosleep.continual import STRATEGIES, Learning, check_combination
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.experiments.kinds import (
    KIND_SETTINGS,
    PLAIN,
    check_kinds,
    kinds_of,
    kinds_with,
    make_learning,
    settings_of_kinds,
)
from neurosleep.experiments.names import folder_name
from neurosleep.functional import RULES, make_rule
from neurosleep.learning import Backprop
from neurosleep.replay import Sleep

__all__ = [
    "Published",
    "apply_changes",
    "backprop_settings",
    "change_text",
    "changes_between",
    "check_strategies",
    "default_strategy",
    "default_variants",
    "dump_toml",
    "experiment_names",
    "learning_settings",
    "load_notes",
    "load_published",
    "load_settings",
    "parse_change",
    "read_experiment",
    "sleep_settings",
    "variant_name",
    "variant_names",
]

# Every key that exists, with its default; a default None stands for "optional", with the type beside it below.
_DEFAULTS: dict[str, Any] = {
    "engine": "event",
    "record": "counts",
    "analyse": False,
    "faithful": False,
    "order": "sleep-first",
    "note": None,
    "data": {
        "name": "mnist",
        "sequence": None,
        "tasks": None,
        "classes_per_task": 2,
        "order": "label",
        "images_per_task": None,
        "split": "test",
        "evaluate": "test",
        "control": "sequence",
        "scale": "none",
        "deviations": None,
        "width": 10,
        "overlap": 12,
    },
    "network": {
        "kind": None,
        "sizes": [784, 1200, 1200, 10],
        "dropout": 0.25,
        "init": 0.01,
        **dict.fromkeys(KIND_SETTINGS["network"]),
    },
    "wake": {
        "kind": None,
        "loss": "straight-through-mse",
        "lr": 0.1,
        "lr_per_task": None,
        "momentum": 0.5,
        "batch": 100,
        "epochs": 2,
        "epochs_per_task": None,
        **dict.fromkeys(KIND_SETTINGS["wake"]),
    },
    "joint": {"epochs": None},
    "ewc": {"strength": 100.0, "mode": "separate", "gamma": 1.0, "fisher": "expected"},
    "si": {"strength": 5.0, "damping": 0.1},
    "owm": {"alpha": [0.9, 1.0, 0.6], "decay": [0.001, 0.1, 1.0], "clip": 10.0},
    "lwf": {"strength": 1.0, "temperature": 2.0},
    "rehearsal": {"fraction": 0.0075, "multiple": 100},
    "icarl": {"k": 100, "herding": True, "distillation": False, "faithful": False},
    "sleep": {
        "after": None,
        "steps": 15000,
        "growth": 1 / 3,
        "lengths": None,
        "statistics": "seen",
        "spike_limit": None,
        "max_rate": 239.515363,
        "window": None,
        "process": "bernoulli",
        "thresholds": None,
        "rates": None,
        "recipe": "recursive",
        "alpha_scale": 1.0,
        "scale_data": "seen",
        "decay": 0.999,
        "compare": ">=",
        "rule": {"name": "src"},
        "profile": None,
        "rounding": None,
        "headroom": None,
        "read_back": None,
        **dict.fromkeys(KIND_SETTINGS["sleep"]),
    },
    "hardware": {"profiles": None, "images": None, "steps": None, "recipe": None, "allow_split": None},
}
_OPTIONAL: dict[str, type] = {
    "note": str,
    "network.kind": str,
    "wake.kind": str,
    "sleep.rates": list,
    "sleep.profile": str,
    "sleep.rounding": str,
    "sleep.headroom": float,
    "sleep.read_back": str,
    **{f"{table}.{key}": kind for table, keys in KIND_SETTINGS.items() for key, kind in keys.items()},
    "data.sequence": list,
    "data.tasks": list,
    "data.images_per_task": int,
    "data.deviations": float,
    "wake.lr_per_task": list,
    "wake.epochs_per_task": list,
    "joint.epochs": int,
    "hardware.profiles": list,
    "hardware.images": int,
    "hardware.steps": int,
    "hardware.recipe": str,
    "hardware.allow_split": bool,
    "sleep.after": list,
    "sleep.lengths": list,
    "sleep.spike_limit": float,
    "sleep.window": int,
    "sleep.thresholds": list,
}
# What stands in the lists; None: lists of whole numbers.
_ENTRIES: dict[str, type | None] = {
    "data.sequence": str,
    "data.tasks": None,
    "hardware.profiles": str,
    **dict.fromkeys(("network.sizes", "wake.epochs_per_task", "sleep.after", "sleep.lengths"), int),
    **dict.fromkeys((f"network.{key}" for key in ("image", "channels", "kernel", "padding", "pool", "full")), int),
    **dict.fromkeys(("wake.lr_per_task", "wake.lr_per_layer", "sleep.thresholds", "sleep.rates"), float),
    **dict.fromkeys(("owm.alpha", "owm.decay"), float),
}
# Tables whose keys are not fixed: parameters of a rule.
_OPEN = ("sleep.rule",)
# Tables that are not written down where nothing in them is set, so that resolved files stay what they were before them.
_LATER = ("hardware",)
# In bytes; the packaged ones have some thousand.
_LARGEST_FILE = 1 << 22
# How deep tables and lists of a file may be nested, and the numbers in it beside 0: what float32 holds in full.
_DEEPEST = 20
# In bytes, of the name of a variant that is made of changes.
_LONGEST_VARIANT = 150
_SMALLEST_NUMBER, _LARGEST_NUMBER = 1.2e-38, 3.4e38
# Short for a setting that is often given on the command line.
_ALIASES = {"epochs": "wake.epochs"}


@dataclass(frozen=True)
class Published:
    """What a publication reports of one strategy: accuracy over all classes in percent, as mean, sd and number of runs.

    ``sd`` and ``n`` are None where it does not say; ``variant`` is the one of the experiment that it belongs to.
    """

    mean: float
    sd: float | None
    n: int | None
    source: str
    variant: str = "default"


def experiment_names() -> tuple[str, ...]:
    """The experiments that come with the package."""
    root = resources.files("neurosleep") / "experiments" / "published"
    found = []
    for folder in root.iterdir():
        if folder.is_dir():
            files = [file.name for file in folder.iterdir() if file.name.endswith(".toml")]
            # The search spaces that a group of experiments shares lie beside them.
            found += [f"{folder.name}/{file[:-5]}" for file in files if file != "tune.toml"]
    return tuple(sorted(found))


def _paths(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in table.items():
        path = prefix + key
        found += _paths(value, path + ".") if isinstance(value, dict) and path not in _OPEN else [path]
    return found


def _check_type(path: str, value: Any, default: Any) -> Any:
    expected = _OPTIONAL.get(path, type(default))
    if value is None and path in _OPTIONAL:
        return None
    if value == "none" and _OPTIONAL.get(path, str) is not str:
        # TOML has no null: so a file can take back what the one it extends has set.
        return None
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if expected is float and isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{path} is {value!r:.80}.", expected="a finite number")
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise SettingsError(f"{path} is {value!r:.80}.", expected=f"a value of type {expected.__name__}")
    if isinstance(value, list):
        _check_entries(path, value)
    return value


def _check_entries(path: str, values: list[Any]) -> None:
    """Refuse a list that holds something else than it should, such as ``true`` for a number."""
    kind = _ENTRIES[path]
    if kind is None:
        for row in values:
            if not isinstance(row, list) or not row or not all(_is_a(value, int) for value in row):
                raise SettingsError(f"{path} holds {row!r:.80}.", expected="lists of whole numbers")
        return
    what = {str: "texts", int: "whole numbers", float: "finite numbers"}[kind]
    for value in values:
        if not _is_a(value, kind):
            raise SettingsError(f"{path} holds {value!r:.80}.", expected=what)


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        return False
    return not isinstance(value, float) or math.isfinite(value)


def _become(settings: dict[str, Any], network: str, learning: str) -> None:
    """Make ``settings`` those of other kinds: what stood at its default takes the new one, what they lack goes."""
    before, after = settings_of_kinds(*kinds_of(settings)), settings_of_kinds(network, learning)
    for path in before.keys() | after.keys():
        table, _, key = path.partition(".")
        if path not in after or path not in before or settings[table][key] == before[path]:
            settings[table][key] = copy.deepcopy(after.get(path))
    # The kinds there were from the beginning are not written down.
    settings["network"]["kind"] = None if network == PLAIN[0] else network
    settings["wake"]["kind"] = None if learning == PLAIN[1] else learning


def _set_all(settings: dict[str, Any], changes: Iterable[tuple[str, Any]]) -> None:
    """Set dotted keys (or whole tables), the kinds first, since these decide which others there are."""
    changes = list(changes)
    given: dict[str, Any] = {}
    for key, value in changes:
        if key in ("network", "wake") and isinstance(value, dict) and "kind" in value:
            given[f"{key}.kind"] = value["kind"]
        elif key in ("network.kind", "wake.kind"):
            given[key] = value
    if given:
        _become(settings, *check_kinds(kinds_of(settings), given))
    for key, value in changes:
        _set(settings, key, value)


def _set(settings: dict[str, Any], path: str, value: Any) -> None:
    if path in ("network.kind", "wake.kind"):
        return  # done by _set_all
    table, default = settings, _DEFAULTS
    *parents, last = path.split(".")
    walked = ""
    for parent in parents:
        walked = f"{walked}.{parent}" if walked else parent
        if not isinstance(default.get(parent), dict):
            raise unknown_name("setting", path, _paths(_DEFAULTS))
        table, default = table[parent], default[parent]
    if walked in _OPEN:
        table[last] = value
        return
    if last not in default:
        raise unknown_name("setting", path, _paths(_DEFAULTS))
    if isinstance(default[last], dict):
        if not isinstance(value, dict):
            raise SettingsError(
                f"{path} is {value!r:.80}.", expected=f"a table with the keys {', '.join(default[last])}"
            )
        if path in _OPEN:
            table[last] = dict(value)
            return
        for key, inner in value.items():
            _set(settings, f"{path}.{key}", inner)
        return
    kinds = kinds_of(settings)
    known = settings_of_kinds(*kinds)
    if path not in known and kinds_with(path):
        if value is None:
            return
        raise SettingsError(
            f"{path} is {value!r}, but network.kind {kinds[0]} with wake.kind {kinds[1]} has no such setting.",
            expected=f"one of the kinds {', '.join(kinds_with(path))}",
        )
    value = _check_type(path, value, default[last])
    if value is None and known.get(path) is not None:
        raise SettingsError(f"{path} is not given.", expected=f"a value such as {known[path]!r}")
    table[last] = value
    if path == "wake.lr":
        # One for all layers, so that it has an effect where each had its own; in a file it stands before them.
        table["lr_per_layer"] = None


def read_experiment(experiment: str) -> tuple[str, dict[str, Any]]:
    """Name of an experiment and all that its file holds, unchecked; raises as :func:`load_settings` for the file."""
    if experiment.endswith(".toml"):
        path = Path(experiment)
        text, name = _text_of(path), path.stem
    else:
        if experiment not in experiment_names():
            raise unknown_name("experiment", experiment, experiment_names())
        source = resources.files("neurosleep") / "experiments" / "published" / f"{experiment}.toml"
        text, name = source.read_text(encoding="utf-8"), experiment
    try:
        content = tomllib.loads(text)
        for key, value in content.items():
            _check_plain(key, value)
        return name, content
    except SettingsError:
        raise
    # ValueError also where a number has thousands of digits, RecursionError where lists are nested as deep.
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"The experiment file {experiment!r:.200} is not TOML.", found=f"{error}".splitlines()[0][:200]
        ) from error


def _check_plain(path: str, value: Any) -> None:
    """Refuse what no setting is: dates, numbers that nothing is computed with, texts that end early, endless nesting.

    Without recursion, since what is nested thousands deep is met here first.
    """
    rest: list[tuple[str, Any, int]] = [(path, value, 0)]
    while rest:
        at, found, depth = rest.pop()
        if depth > _DEEPEST:
            raise SettingsError(f"{path:.200} is nested too deep.", expected=f"at most {_DEEPEST} levels")
        if isinstance(found, dict):
            rest += [(f"{at}.{key}", inner, depth + 1) for key, inner in found.items()]
        elif isinstance(found, list | tuple):
            rest += [(at, inner, depth + 1) for inner in found]
        elif isinstance(found, bool) or found is None:
            continue
        elif isinstance(found, int) and abs(found) >= 1 << 63:
            raise SettingsError(f"{at:.200} holds a number of {found.bit_length()} bits.", expected="at most 63")
        elif isinstance(found, float) and not (found == 0 or _SMALLEST_NUMBER <= abs(found) <= _LARGEST_NUMBER):
            raise SettingsError(
                f"{at:.200} holds {found!r}.",
                expected=f"0, or a finite number from {_SMALLEST_NUMBER:g} to {_LARGEST_NUMBER:g}, which float32 holds",
            )
        elif isinstance(found, str) and "\0" in found:
            raise SettingsError(f"{at:.200} holds the text {found!r:.80}.", expected="a text without NUL")
        elif not isinstance(found, int | float | str):
            raise SettingsError(f"{at:.200} holds {found!s:.80}.", expected="numbers, texts, true or false")


def _text_of(path: Path) -> str:
    """The text of a user's file, in UTF-8 with or without a byte order mark."""
    try:
        if not path.is_file():
            raise SettingsError(
                f"There is no experiment file {str(path)!r:.200}.", hint="neurosleep list names the packaged ones"
            )
        if path.stat().st_size > _LARGEST_FILE:
            raise SettingsError(f"{str(path)!r:.200} is no experiment file.", found=f"{path.stat().st_size} bytes")
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The experiment file {str(path)!r:.200} cannot be read.", found=str(error), expected="TOML in UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        found = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"The experiment file {str(path)!r:.200} cannot be read.", found=found) from error


# Tables of an experiment's file that are no settings: where it takes the others from, what strategies, variants and
# the released code's faults change, what others found, what is to be said of our figures, what a search may vary and
# how settings were found.
_OTHER = (
    "extends",
    "strategy",
    "default_variants",
    "variant_strategy",
    "overrides",
    "variants",
    "faithful_settings",
    "published",
    "notes",
    "tune",
    "tuned",
)


def _read(experiment: str, before: tuple[str, ...] = ()) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Name of an experiment, its settings with all defaults, and the tables that are no settings.

    ``before`` are the files that extend it.
    """
    name, given = read_experiment(experiment)
    other = {key: given.pop(key) for key in _OTHER if key in given}
    other["published"] = _published(other.get("published", {}))
    settings = copy.deepcopy(_DEFAULTS)
    _check_tables(other)
    if "extends" in other:
        chain = (*before, _identity(experiment))
        if _identity(other["extends"]) in chain:
            raise SettingsError(f"The experiment {experiment!r} extends itself.", expected="another experiment")
        _, settings, inherited = _read(other["extends"], chain)
        for table in ("overrides", "faithful_settings"):
            other[table] = {**inherited.get(table, {}), **other.get(table, {})}
        if "strategy" in inherited:
            other.setdefault("strategy", inherited["strategy"])
    _set_all(settings, given.items())
    return name, settings, other


def _identity(experiment: str) -> str:
    """One text for each file, however it is named."""
    return str(Path(experiment).resolve()) if experiment.endswith(".toml") else experiment


def _check_tables(other: Mapping[str, Any]) -> None:
    """Refuse tables of an experiment's file that are no settings, and have another shape than they should."""
    for table in ("overrides", "variants", "faithful_settings"):
        found = other.get(table, {})
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise SettingsError(f"{table} is {found!r:.80}.", expected="tables of dotted keys and their values")
    for variant in other.get("variants", {}):
        folder_name("variant", variant)
    if not isinstance(other.get("extends", ""), str):
        raise SettingsError(f"extends is {other['extends']!r:.80}.", expected="the name of an experiment, or a file")
    chosen = other.get("default_variants", [])
    variants = ("default", *other.get("variants", {}))
    if not isinstance(chosen, list) or not all(entry in variants for entry in chosen):
        raise SettingsError(f"default_variants is {chosen!r:.80}.", expected="a list of names of variants of this file")
    own = other.get("variant_strategy", {})
    if not isinstance(own, dict) or not all(name in variants and isinstance(text, str) for name, text in own.items()):
        raise SettingsError(
            f"variant_strategy is {own!r:.80}.", expected="a table of variants of this file and strategies of their own"
        )
    if not isinstance(other.get("strategy", ""), str):
        raise SettingsError(
            f"strategy is {other['strategy']!r:.80}.", expected="names of strategies, separated by commas"
        )


def _published(table: Any) -> dict[str, Published]:
    if not isinstance(table, dict):
        raise SettingsError(f"published is {table!r:.80}.", expected="a table of strategies and a source")
    shared = table.get("source")
    found = {}
    for strategy, entry in table.items():
        if strategy == "source":
            continue
        if not isinstance(entry, dict) or not {"mean"} <= entry.keys() <= {"mean", "sd", "n", "source", "variant"}:
            raise SettingsError(f"published.{strategy} is {entry!r:.80}.", expected="{mean = ..., sd = ..., n = ...}")
        mean = _check_type(f"published.{strategy}.mean", entry["mean"], 0.0)
        sd = _check_type(f"published.{strategy}.sd", entry["sd"], 0.0) if "sd" in entry else None
        n = _check_type(f"published.{strategy}.n", entry["n"], 0) if "n" in entry else None
        source = entry.get("source", shared)
        if not isinstance(source, str) or not source:
            raise SettingsError(f"published.{strategy} names no source.", expected='source = "..."')
        found[strategy] = Published(mean, sd, n, source, str(entry.get("variant", "default")))
    return found


def load_published(experiment: str) -> dict[str, Published]:
    """The published figures that the file of an experiment states, by strategy; raises as :func:`load_settings`."""
    found: dict[str, Published] = _read(experiment)[2]["published"]
    return found


def load_notes(experiment: str) -> dict[str, dict[str, str]]:
    """What the file of an experiment says of its figures, such as what was tried: variant -> strategy -> sentences."""
    table = _read(experiment)[2].get("notes", {})
    if not isinstance(table, dict) or not all(
        isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values()) for entry in table.values()
    ):
        raise SettingsError(f"notes is {table!r:.80}.", expected='[notes.VARIANT] with STRATEGY = "sentences"')
    return table


def variant_names(experiment: str) -> tuple[str, ...]:
    """The variants that the file of an experiment names, such as the points of a sweep."""
    return tuple(_read(experiment)[2].get("variants", {}))


def default_variants(experiment: str) -> tuple[str, ...]:
    """The variants that are run where none is chosen: those the file names for it, else all it has.

    ``default`` is the experiment without a variant.
    """
    other = _read(experiment)[2]
    return tuple(other.get("default_variants", other.get("variants", {}))) or ("default",)


def default_strategy(experiment: str, variant: str | None = None) -> str:
    """The strategies that are run where none is named, separated by commas; a variant may have its own."""
    other = _read(experiment)[2]
    return str(other.get("variant_strategy", {}).get(variant, other.get("strategy", "src")))


def load_settings(
    experiment: str,
    *,
    strategy: str | None = None,
    variant: str | None = None,
    changes: Sequence[tuple[str, Any]] = (),
) -> tuple[str, dict[str, Any]]:
    """Name and complete settings of a packaged experiment (``src2022/mnist``) or of the user's own TOML file.

    Later ones win: the file's settings, those of its ``variant`` (None or ``default`` is none), what its table
    ``overrides`` holds for the parts of the ``strategy``, with ``faithful`` what its table ``faithful_settings`` holds
    for ``all`` and for those parts, and last the user's ``changes``. Where one of them changes ``network.kind`` or
    ``wake.kind``, what the new kind does not have is dropped, and what stood at a default takes the new one's.

    Raises
    ------
    UnknownNameError
        If there is neither; or a key in the file does not exist (the nearest is named).
    SettingsError
        If the file is not TOML or a value has the wrong type.
    """
    name, settings, other = _read(experiment)
    variants = other.get("variants", {})
    if variant not in (None, "default") and variant not in variants:
        raise unknown_name("variant", str(variant), variants)
    parts = strategy.split("+") if strategy else []
    layers = [variants.get(str(variant), {}), *(other.get("overrides", {}).get(part, {}) for part in parts)]
    if strategy is not None and len(parts) > 1:
        layers.append(other.get("overrides", {}).get(strategy, {}))
    if dict(changes).get("faithful", settings["faithful"]):
        table = other.get("faithful_settings", {})
        layers += [table.get(part, {}) for part in ("all", *parts)]
    for layer in layers:
        _set_all(settings, layer.items())
    return name, apply_changes(settings, changes)


def parse_change(text: str) -> tuple[str, Any]:
    """The dotted key and the value of ``key=value``; the value is TOML, or a bare word taken as text.

    ``epochs`` is short for ``wake.epochs``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set {text!r:.80} cannot be read.", expected="key=value, such as sleep.steps=300")
    key = _ALIASES.get(key.strip(), key.strip())
    try:
        found = tomllib.loads(f"x = {value}")["x"]
    except RecursionError as error:
        raise SettingsError(f"--set {text!r:.80} is nested too deep.") from error
    except ValueError:
        found = None if value.strip() == "none" else value.strip()
    _check_plain(key, found)
    return key, found


def apply_changes(settings: Mapping[str, Any], changes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A copy of ``settings`` with the dotted keys in ``changes`` set."""
    for key, value in changes:
        _check_plain(key, value)
    changed = copy.deepcopy(dict(settings))
    _set_all(changed, changes)
    return changed


def changes_between(settings: Mapping[str, Any], changed: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The dotted keys, sorted, that make ``changed`` of ``settings``: what :func:`apply_changes` takes."""
    before, after = _flat(settings), _flat(changed)
    found = {key: value for key, value in after.items() if key not in before or before[key] != value}
    for table in _OPEN:
        # A key can be set but not taken away, so the whole table has to be.
        if any(key.startswith(f"{table}.") for key in before.keys() - after.keys()):
            found = {key: value for key, value in found.items() if not key.startswith(f"{table}.")}
            prefix = f"{table}."
            found[table] = {key.removeprefix(prefix): value for key, value in after.items() if key.startswith(prefix)}
    return sorted(found.items())


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def change_text(key: str, value: Any) -> str:
    """One change as ``--set`` takes it."""
    if value is None or (isinstance(value, str) and parse_change(f"{key}={value}") == (key, value)):
        return f"{key}={'none' if value is None else value}"
    return f"{key}={_toml_value(value)}"


def variant_name(changes: Sequence[tuple[str, Any]], variant: str | None = None) -> str:
    """Name of the folder of a variant: ``default``, or its name in the file, the changed keys and their values."""
    variant = None if variant == "default" else variant
    if not changes:
        return variant or "default"
    found = [f"{key}={json.dumps(value).strip(chr(34))}" for key, value in sorted(changes)]
    text = ",".join([variant, *found] if variant else found)
    name = "".join(c if c.isalnum() or c in "=,._-+" else "_" for c in text)
    # A file system takes no longer names, in bytes; what is cut off still tells two variants apart.
    if len(name.encode()) <= _LONGEST_VARIANT:
        return name
    begin = name.encode()[: _LONGEST_VARIANT - 10].decode(errors="ignore")
    return f"{begin}-{hashlib.sha256(text.encode()).hexdigest()[:9]}"


def learning_settings(settings: Mapping[str, Any], strategy: str, tasks: int = 1) -> list[Learning]:
    """The wake training of each task; joint training may have epochs of its own.

    Lists of values per task repeat their last entry where tasks are more.
    """
    wake = dict(settings["wake"])
    per_task = {"lr": wake.pop("lr_per_task"), "epochs": wake.pop("epochs_per_task")}
    if "joint" in strategy.split("+") and settings["joint"]["epochs"] is not None:
        wake["epochs"], per_task["epochs"] = settings["joint"]["epochs"], None
    if settings["wake"]["lr_per_layer"] is not None and per_task["lr"] is not None:
        raise SettingsError("wake.lr_per_layer and wake.lr_per_task are both given.", expected="one of them")
    found: list[Learning] = []
    for task in range(tasks):
        for key, values in per_task.items():
            if values is not None:
                kind = float if key == "lr" else int
                if not values or not all(isinstance(v, (kind, int)) and not isinstance(v, bool) for v in values):
                    raise SettingsError(f"wake.{key}_per_task is {values!r:.80}.", expected="a list of numbers")
                wake[key] = kind(values[min(task, len(values) - 1)])
        found.append(make_learning(kinds_of(settings)[1], wake))
    return found


def backprop_settings(settings: Mapping[str, Any], strategy: str, tasks: int = 1) -> list[Backprop]:
    """As :func:`learning_settings`, where the learning is backpropagation; refuses any other."""
    found = [learning for learning in learning_settings(settings, strategy, tasks) if isinstance(learning, Backprop)]
    if len(found) < tasks:
        raise SettingsError(f"wake.kind is {settings['wake']['kind']!r}.", expected="backprop here")
    return found


def sleep_settings(settings: Mapping[str, Any]) -> Sleep:
    """The sleep of an experiment as the strategy takes it."""
    sleep = dict(settings["sleep"])
    sleep["rule"] = make_rule(**_checked_rule(sleep["rule"]))
    for key in (*KIND_SETTINGS["sleep"], "headroom", "read_back"):
        if sleep[key] is None:  # a kind of network that has none, or nothing said
            del sleep[key]
    if sleep["thresholds"] is None:
        sleep["thresholds"] = [1.0] * (len(settings["network"]["sizes"]) - 1)
    for value in sleep["thresholds"]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SettingsError(f"sleep.thresholds holds {value!r:.80}.", expected="finite numbers >= 0")
    return Sleep.src2022(**sleep)


def _checked_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a rule, with numbers and texts for its name and parameters."""
    if not isinstance(rule.get("name"), str):
        raise SettingsError(
            f"sleep.rule.name is {rule.get('name')!r:.80}.", expected="one of: " + ", ".join(sorted(RULES))
        )
    for key, value in rule.items():
        if not _is_a(value, float) and not isinstance(value, str):
            raise SettingsError(f"sleep.rule.{key} is {value!r:.80}.", expected="a finite number, or a text")
    return dict(rule)


def check_strategies(names: Sequence[str]) -> None:
    """Refuse the first name that is no strategy or comes twice, parts that cannot be combined, and no name at all."""
    if not names:
        raise SettingsError("No strategy was named.", expected="one or more of " + ", ".join(STRATEGIES))
    for name in names:
        parts = name.split("+")
        for part in parts:
            if part not in STRATEGIES:
                raise unknown_name("strategy", part, STRATEGIES)
        check_combination([STRATEGIES[part] for part in parts])
        if names.count(name) > 1:
            raise SettingsError(f"The strategy {name!r} is named {names.count(name)} times.", hint="--seeds repeats it")


def _toml_value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + "}"
    # JSON's numbers, strings and booleans are TOML's.
    return json.dumps(value)


def dump_toml(settings: Mapping[str, Any], prefix: str = "") -> str:
    """The settings as TOML; optional ones that are not set are left out."""
    plain = [f"{k} = {_toml_value(v)}" for k, v in settings.items() if v is not None and not isinstance(v, dict)]
    parts = ["\n".join(plain)] if plain else []
    for key, value in settings.items():
        if isinstance(value, dict):
            if prefix + key in _LATER and all(entry is None for entry in value.values()):
                continue
            inner = dump_toml(value, f"{prefix}{key}.")
            header = f"[{prefix}{key}]"
            parts.append(f"{header}\n{inner}" if value and not inner.startswith("[") else inner or header)
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + ("\n" if not prefix else "")
