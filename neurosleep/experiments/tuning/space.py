"""What a search may vary: a table of settings, in the experiment's own file or in ``tune.toml`` of its group.

::

    [tune.common]                                                      # every strategy may vary these
    "wake.lr" = { low = 0.01, high = 0.3, log = true }                 # log: equally likely per factor
    "network.sizes.1:-1" = { low = 300, high = 1800 }                  # one value for a slice of a list

    [tune.src]                                                         # and this one these too
    "sleep.steps" = { low = 3000, high = 30000 }                       # integers, as the setting is one
    "sleep.thresholds.*" = { low = 0.05, high = 5.0, log = true }      # each entry of a list for itself; .0 the first
    "sleep.rule.factor" = { choices = ["steep", "constant"] }
    "sleep.alpha_scale" = { value = 1.0 }                              # fixed, whatever the experiment has
    "network.init" = { low = 0.01, high = 0.1, start = 0.04 }          # the first trial has 0.04, not the experiment's

``int = true`` asks for integers where the setting itself does not say so. A pair such as ``rehearsal+src`` without
a table of its own takes those of its parts. The own file is asked first, then one it extends, then ``tune.toml`` of the
group, then, for a feed-forward network, that of ``src2022``; the first that has the strategy gives the whole search
space. The file of a group may say which kinds of network it is for: ``kinds = ["mlp"]``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources

from neurosleep.errors import SettingsError
from neurosleep.experiments.experiment import Experiment, Table
from neurosleep.experiments.files import read_experiment
from neurosleep.experiments.plain import Plain, PlainTable, flatten, number
from neurosleep.experiments.reading import apply_changes
from neurosleep.experiments.strategy_names import check_strategies
from neurosleep.experiments.usual import PLAIN

__all__ = ["Parameter", "Space", "check_entry", "check_start", "parameter_of", "search_space"]

_COMMON = "common"
_ENTRY = {"low", "high", "choices", "value"}
_DEFAULT_GROUP = "src2022"
_SELECTOR = re.compile(r"(?P<path>.+)\.(?P<entries>\*|-?\d+|-?\d*:-?\d*)")
# Found values are kept to so many digits, so that a settings file can be read and says exactly what was run.
_DIGITS = 6


@dataclass(frozen=True)
class Parameter:
    """One value to be found.

    Parameters
    ----------
    name:
        Its key in the search space, with the number of the entry where each entry is varied for itself.
    path, entries:
        The setting, and which entries of its list take the value (None: the setting is no list).
    low, high, log, whole:
        Range, both ends included; or
    choices:
        the values there are, else empty.
    start:
        What the first trial has; None: what the experiment has, if it lies inside.
    """

    name: str
    path: str
    entries: tuple[int, ...] | None
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Plain, ...] = ()
    start: Plain = None

    def round(self, value: Plain) -> Plain:
        """``value`` as it is run and written down."""
        if self.choices or not isinstance(value, int | float):
            return value
        if self.whole:
            return int(value)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)

    def __contains__(self, value: Plain) -> bool:
        if self.choices:
            return value in self.choices
        return (found := number(value)) is not None and self.low <= found <= self.high


@dataclass(frozen=True)
class Space:
    """The values to be found, around the settings that stay.

    Parameters
    ----------
    base:
        Complete settings, with the fixed ones of the search.
    parameters:
        What is varied.
    fixed:
        What the search fixes other than the experiment, by dotted key.
    table:
        The search space as it was written, without what was left out.
    """

    base: Experiment
    parameters: tuple[Parameter, ...]
    fixed: PlainTable
    table: dict[str, PlainTable]

    def changes(self, values: Mapping[str, Plain]) -> PlainTable:
        """Dotted settings for ``values`` (by parameter name), the fixed ones included."""
        settings = dict(self.fixed)
        for parameter in self.parameters:
            value = parameter.round(values[parameter.name])
            if parameter.entries is None:
                settings[parameter.path] = value
            else:
                given = settings.get(parameter.path)
                row = list(given) if isinstance(given, list) else _list_at(self.base, parameter.path)
                for entry in parameter.entries:
                    row[entry] = value
                settings[parameter.path] = row
        return settings

    def settings(self, values: Mapping[str, Plain]) -> Experiment:
        """Complete settings for ``values``."""
        return apply_changes(self.base, list(self.changes(values).items()))

    def start(self) -> PlainTable:
        """What the first trial has: the stated start, else the experiment's own value where it lies inside."""
        point: PlainTable = {}
        for parameter in self.parameters:
            value = _value_at(self.base, parameter.path)
            if parameter.entries is not None:
                value = _list_at(self.base, parameter.path)[parameter.entries[0]]
            if parameter.start is not None:
                value = parameter.start
            if value is not None and value in parameter:
                point[parameter.name] = value
        return point

    def corners(self) -> Iterator[PlainTable]:
        """Few points that hold every extreme value and every choice once: what can be refused is found with them."""
        width = max(len(parameter.choices) or 2 for parameter in self.parameters)
        for k in range(width):
            yield {p.name: (p.choices or (p.low, p.high))[k % (len(p.choices) or 2)] for p in self.parameters}


def search_space(experiment: str, strategy: str, settings: Experiment, kept: Sequence[str] = ()) -> Space:
    """The search space of ``strategy`` around ``settings``; the settings named in ``kept`` are not varied.

    Raises
    ------
    SettingsError
        If there is none, or an entry cannot be read.
    UnknownNameError
        If an entry varies a setting that does not exist.

    See Also
    --------
    TuneRequest : a search in it

    Examples
    --------
    >>> from neurosleep.experiments import load_settings, search_space
    >>> name, settings = load_settings("src2022/mnist", strategy="ewc")
    >>> space = search_space("src2022/mnist", "ewc", settings)
    >>> [parameter.name for parameter in space.parameters][:3]
    ['wake.epochs', 'wake.lr', 'wake.loss']
    """
    table = {
        key: entry
        for key, entry in _find_table(experiment, strategy, settings.network.kind).items()
        if not any(f"{key}.".startswith(f"{path}.") or path.startswith(f"{key}.") for path in kept)
    }
    base = settings
    fixed: PlainTable = {}
    parameters: list[Parameter] = []
    for key, entry in table.items():
        if key.split(".")[0] == "data":
            raise SettingsError(f"The search space varies {key!r}.", expected="settings of the method, not of its data")
        check_entry(key, entry)
        if "value" in entry:
            fixed[key] = entry["value"]
            base = _fix(base, key, entry["value"])
    for key, entry in table.items():
        if "value" not in entry:
            parameters += _parameters(key, entry, base)
    if not parameters:
        raise SettingsError(
            f"Nothing is left to search for {strategy!r}.",
            hint="leave out a --set: a setting given there is not varied",
        )
    if fixed.keys() & {"sleep.alpha_scale"}:
        fixed["sleep.thresholds"] = _list_at(base, "sleep.thresholds")
    return Space(base, tuple(parameters), fixed, table)


def _find_table(experiment: str, strategy: str, kind: str) -> Table:
    for file, content in _sources(experiment, kind):
        spaces = content.get("tune", {})
        if not isinstance(spaces, dict) or not all(isinstance(space, dict) for space in spaces.values()):
            raise SettingsError(f"tune in {file!r} is no table of strategies.", expected="[tune.STRATEGY]")
        check = [known for known in spaces if known != _COMMON]
        if check:
            check_strategies(check)
        parts = [strategy] if strategy in spaces else strategy.split("+")
        if all(part in spaces for part in parts):
            table: Table = {}
            for part in (_COMMON, *parts):
                # Without quotes, TOML makes tables of a dotted key.
                table |= flatten(spaces.get(part, {}), is_value=lambda entry: not entry or entry.keys() & _ENTRY)
            return table
    raise SettingsError(
        f"There is no search space for the strategy {strategy!r}.",
        expected=f'a table [tune."{strategy}"] in the experiment file' if "+" in strategy else f"[tune.{strategy}]",
        hint='such as "wake.lr" = { low = 0.01, high = 0.3, log = true }',
    )


def _sources(experiment: str, kind: str) -> Iterator[tuple[str, Table]]:
    """The files that may hold the search space and what is in them, nearest first."""
    groups: list[str] = []
    seen: set[str] = set()
    file: str | None = experiment
    while isinstance(file, str) and file not in seen:
        seen.add(file)
        _, content = read_experiment(file)
        if not file.endswith(".toml"):
            groups.append(file.split("/")[0])
        yield file, content
        file = content.get("extends")
    # What is varied there are settings of the feed-forward network.
    for group in dict.fromkeys([*groups, *([_DEFAULT_GROUP] if kind == PLAIN[0] else [])]):
        content = _group_file(group)
        if kind in content.get("kinds", [kind]):
            yield f"{group}/tune.toml", content


def _group_file(group: str) -> Table:
    file = resources.files("neurosleep") / "experiments" / "published" / group / "tune.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def check_entry(key: str, entry: object) -> None:
    """Refuse what is no entry of a search space."""
    expected = "{ low = ..., high = ... } with log or int, { choices = [...] }, both with start, or { value = ... }"
    if not isinstance(entry, dict):
        raise SettingsError(f"The search space of {key!r} is {entry!r}.", expected=expected)
    keys = entry.keys() - {"start"}
    if keys not in ({"value"}, {"choices"}) and not {"low", "high"} <= keys <= {"low", "high", "log", "int"}:
        raise SettingsError(f"The search space of {key!r} is {entry!r}.", expected=expected)
    if "value" in keys and "start" in entry:
        raise SettingsError(f"The search space of {key!r} is {entry!r}.", expected=expected)
    if "choices" in keys and (not isinstance(entry["choices"], list) or not entry["choices"]):
        raise SettingsError(f"The choices of {key!r} are {entry['choices']!r}.", expected="a list of values")
    for option in keys & {"log", "int"}:
        if not isinstance(entry[option], bool):
            raise SettingsError(f"{option} of {key!r} is {entry[option]!r}.", expected="true or false")
    if "low" in keys:
        low, high = entry["low"], entry["high"]
        for end in (low, high):
            if number(end) is None:
                raise SettingsError(f"The search space of {key!r} has the end {end!r}.", expected="a finite number")
        if not low < high or (entry.get("log") and low <= 0):
            raise SettingsError(
                f"The search space of {key!r} goes from {low!r} to {high!r}.",
                expected="low < high" + (", and low > 0 with log" if entry.get("log") else ""),
            )


def parameter_of(key: str, entry: Table, *, whole: bool | None = None, start: Plain = None) -> Parameter:
    """What ``entry`` varies; ``whole`` says whether it is an integer where the entry does not (None: as its ends are).

    Raises
    ------
    SettingsError
        If it is one and its ends are none.
    """
    written_whole = all(isinstance(entry.get(end), int) for end in ("low", "high"))
    whole = entry.get("int", written_whole if whole is None else whole)
    if whole and "low" in entry and not written_whole:
        raise SettingsError(f"The search space of {key!r} has an end that is not whole.", found=repr(dict(entry)))
    low, high = entry.get("low", 0.0), entry.get("high", 0.0)
    return Parameter(
        key,
        key,
        None,
        low=low if whole else float(low),
        high=high if whole else float(high),
        log=entry.get("log", False),
        whole=bool(whole) and "low" in entry,
        choices=tuple(entry.get("choices", ())),
        start=start,
    )


def check_start(key: str, parameter: Parameter) -> None:
    """Refuse a start outside the space."""
    if parameter.start is not None and parameter.start not in parameter:
        raise SettingsError(
            f"The search space of {key!r} starts at {parameter.start!r}.", expected="a value inside the space"
        )


def _parameters(key: str, entry: Table, settings: Experiment) -> list[Parameter]:
    path, groups = _targets(key, settings)
    if groups == []:
        return []
    present = _value_at(settings, path) if groups is None else _list_at(settings, path)[groups[0][1][0]]
    # Where there is no value yet, what kind it has can only be seen from the ends.
    whole = None if present is None else isinstance(present, int)
    named = [(key, None)] if groups is None else groups
    starts = entry.get("start")
    # Where each entry of a list is varied for itself, each may have a start of its own.
    each = starts if groups is not None and isinstance(starts, list) else [starts] * len(named)
    if len(each) != len(named):
        raise SettingsError(f"The search space of {key!r} starts at {starts!r}.", expected=f"{len(named)} values")
    parameter = replace(parameter_of(key, entry, whole=whole), path=path)
    parameters = [
        replace(parameter, name=name, entries=entries, start=start)
        for (name, entries), start in zip(named, each, strict=True)
    ]
    for parameter in parameters:
        check_start(key, parameter)
        for value in parameter.choices or (parameter.low, parameter.high):
            Space(settings, (parameter,), {}, {}).settings({parameter.name: value})
    return parameters


def _targets(key: str, settings: Experiment) -> tuple[str, list[tuple[str, tuple[int, ...]]] | None]:
    """The setting that ``key`` names and, where it names entries of a list, those that take one value together."""
    match = _SELECTOR.fullmatch(key)
    if match is None or not isinstance(_value_at(settings, match["path"]), list):
        # What has no value has to exist; a rule may have parameters that are not given.
        if _value_at(settings, key) is None and not key.startswith("sleep.rule."):
            apply_changes(settings, [(key, None)])
        return key, None
    path, entries = match["path"], match["entries"]
    everyone = range(len(_list_at(settings, path)))
    if entries == "*":
        return path, [(f"{path}.{k}", (k,)) for k in everyone]
    if ":" in entries:
        first, last = (int(part) if part else None for part in entries.split(":"))
        chosen = tuple(everyone[first:last])
        # Nothing in between, such as a network without a hidden layer: nothing to vary.
        return path, [(key, chosen)] if chosen else []
    number = int(entries)
    if not -len(everyone) <= number < len(everyone):
        raise SettingsError(f"The search space varies {key!r}.", expected=f"entry 0 to {len(everyone) - 1} of the list")
    return path, [(key, (everyone[number],))]


def _value_at(settings: Experiment, path: str) -> Plain:
    """The value of a dotted setting; None where there is none."""
    value: Plain = flatten(settings.table()).get(path)
    # Where nothing is said, every layer has the same.
    same = {"sleep.thresholds": 1.0, "wake.lr_per_layer": settings.wake.lr}
    return [same[path]] * settings.layers if value is None and path in same else value


def _list_at(settings: Experiment, path: str) -> list[Plain]:
    value = _value_at(settings, path)
    assert isinstance(value, list)  # as _targets has found, or a setting that is one
    return list(value)


def _fix(settings: Experiment, key: str, value: object) -> Experiment:
    """``settings`` with one fixed; at another scale of the conversion the thresholds scale too.

    Only their quotient means anything (Tadros et al. 2022), so the network that sleeps stays the one it was.
    """
    fixed = apply_changes(settings, [(key, value)])
    if key != "sleep.alpha_scale":
        return fixed
    factor = fixed.sleep.alpha_scale / settings.sleep.alpha_scale
    present = settings.sleep.thresholds or (1.0,) * settings.layers
    thresholds = [float(f"{factor * threshold:.{_DIGITS}g}") for threshold in present]
    return apply_changes(fixed, [("sleep.thresholds", thresholds)])
