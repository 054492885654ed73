"""From an experiment's TOML file to its settings: what it extends, its variants and overrides, and changes of the user.

Layers are laid over each other as plain tables; types and ranges are checked once, where an
:class:`~neurosleep.experiments.experiment.Experiment` is made of the outcome.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.experiments.changes import Change
from neurosleep.experiments.experiment import BOTH_WAYS, Experiment, Rule, Table
from neurosleep.experiments.files import check_plain, read_experiment
from neurosleep.experiments.later import later_defaults
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.networks import NETWORKS
from neurosleep.experiments.plain import number
from neurosleep.experiments.typed import as_typed
from neurosleep.experiments.usual import PLAIN
from neurosleep.experiments.wakes import LEARNS_BY, WAKES
from neurosleep.functional import RULES
from neurosleep.replay import REM, Sleep

__all__ = [
    "Published",
    "all_settings",
    "apply_changes",
    "default_strategy",
    "default_variants",
    "experiment_from",
    "kinds_with",
    "load_notes",
    "load_published",
    "load_settings",
    "variant_names",
]


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


# --- what there is ----------------------------------------------------------------------------------------------------


def _sleep_fields() -> list[Field[Any]]:
    return [entry for part in (REM, Sleep) for entry in fields(part) if entry.name not in ("rule", "stages", "cycles")]


@cache
def _flat_sleep() -> type:
    """The table ``sleep`` as a class: the settings of the stage and of the sleep side by side."""
    hints = get_type_hints(REM) | get_type_hints(Sleep)
    # `fields` of another class as they are would be taken for those of this one; none here has a factory.
    made = [(e.name, hints[e.name], field(default=e.default, metadata=e.metadata)) for e in _sleep_fields()]
    return make_dataclass("Flat", made)


@cache
def all_settings(network: str | None = None, learning: str | None = None) -> dict[str, tuple[Any, Any]]:
    """Type and default of every setting by its dotted key; of all kinds, or of a network and its learning."""
    settings: dict[str, tuple[Any, Any]] = {}
    classes: list[tuple[str, type]] = []
    hints = get_type_hints(Experiment)
    for name in Experiment().table():
        if name == "network":
            classes += [(name, NETWORKS[kind]) for kind in ([network] if network else NETWORKS)]
        elif name == "wake":
            classes += [(name, WAKES[kind]) for kind in ([learning] if learning else WAKES)]
        elif name == "sleep":
            classes.append((name, _flat_sleep()))
        elif isinstance(hints[name], type) and hasattr(hints[name], "__dataclass_fields__"):
            classes.append((name, hints[name]))
        else:
            settings[name] = hints[name], getattr(Experiment(), name)
    for name, cls in classes:
        types = get_type_hints(cls)
        for entry in fields(cls):
            path = f"{name}.{entry.name}"
            if path not in settings and (
                name != "sleep" or entry.name not in BOTH_WAYS or network in (None, "equilibrium")
            ):
                settings[path] = types[entry.name], None if entry.default is MISSING else entry.default
    return settings


def kinds_with(path: str) -> tuple[str, ...]:
    """The kinds that have a setting; none if all have it (or there is no such setting)."""
    table, _, key = path.partition(".")
    if table == "sleep":
        return ("equilibrium",) if key in BOTH_WAYS else ()
    kinds: Mapping[str, type] = NETWORKS if table == "network" else WAKES if table == "wake" else {}
    fitting = tuple(kind for kind, cls in kinds.items() if key in {entry.name for entry in fields(cls)})
    return fitting if len(fitting) < len(kinds) else ()


def _names() -> list[str]:
    return [*all_settings(), "sleep.rule"]


# --- laying tables over each other ------------------------------------------------------------------------------------


def _kinds_of(table: Table) -> tuple[str, str]:
    return table["network"]["kind"] or PLAIN[0], table["wake"]["kind"] or PLAIN[1]


@cache
def _of_kinds(network: str, learning: str) -> Table:
    """What depends on the kinds, at its default."""
    table = Experiment(network=NETWORKS[network](), wake=WAKES[learning]()).table()
    sleep = {key: value for key, value in table["sleep"].items() if key in BOTH_WAYS}
    return {"network": table["network"], "wake": table["wake"], "sleep": sleep}


def _become(table: Table, network: str, learning: str) -> None:
    """Make the settings those of other kinds: what stood at its default takes the new one, what they lack goes."""
    before, after = _of_kinds(*_kinds_of(table)), _of_kinds(network, learning)
    for name, settings in ((name, table[name]) for name in before):
        for key in before[name].keys() | after[name].keys():
            if key not in after[name]:
                settings.pop(key, None)
            elif key not in before[name] or settings[key] == before[name][key]:
                settings[key] = copy.deepcopy(after[name][key])


def _new_kinds(present: tuple[str, str], given: Mapping[str, object]) -> tuple[str, str]:
    """The kinds after ``given`` (``network.kind``, ``wake.kind`` or both) has changed the ``present`` ones.

    Another kind of network takes its usual way of learning, unless one is given too.
    """
    for key, value in given.items():
        if value is not None and not isinstance(value, str):
            raise SettingsError(f"{key} is {value!r:.80}.", expected="a text")
    network = str(given["network.kind"] or PLAIN[0]) if "network.kind" in given else present[0]
    if network not in NETWORKS:
        raise unknown_name("network.kind", network, NETWORKS)
    usual = present[1] if network == present[0] else LEARNS_BY[network][0]
    learning = str(given["wake.kind"] or PLAIN[1]) if "wake.kind" in given else usual
    if learning not in WAKES:
        raise unknown_name("wake.kind", learning, WAKES)
    if learning not in LEARNS_BY[network]:
        raise SettingsError(
            f"wake.kind is {learning!r}, by which a network of kind {network!r} cannot learn.",
            expected=" or ".join(LEARNS_BY[network]),
        )
    return network, learning


def _set_all(table: Table, changes: Iterable[Change]) -> None:
    """Set dotted keys (or whole tables), the kinds first, since these decide which others there are."""
    changes = list(changes)
    given: dict[str, object] = {}
    for key, value in changes:
        if key in ("network", "wake") and isinstance(value, dict) and "kind" in value:
            given[f"{key}.kind"] = value["kind"]
        elif key in ("network.kind", "wake.kind"):
            given[key] = value
    if given:
        _become(table, *_new_kinds(_kinds_of(table), given))
    for key, value in changes:
        _set(table, key, value)


def _set(table: Table, path: str, value: Any) -> None:
    if path in ("network.kind", "wake.kind"):
        return  # done by _set_all
    name, _, key = path.partition(".")
    if key.startswith("rule.") and name == "sleep" and key.count(".") == 1:
        table[name]["rule"][key.removeprefix("rule.")] = value
    elif path == "sleep.rule" or (not key and isinstance(table.get(name), dict)):
        if not isinstance(value, dict):
            keys = ("name", "parameters") if key else tuple(table[name])
            raise SettingsError(f"{path} is {value!r:.80}.", expected=f"a table with the keys {', '.join(keys)}")
        if key:
            table[name][key] = dict(value)
        else:
            for inner, entry in value.items():
                _set(table, f"{path}.{inner}", entry)
    elif path not in all_settings():
        raise unknown_name("setting", path, _names())
    elif key:
        _set_one(table, name, key, value)
    else:
        table[name] = _none_of(path, value)


def _set_one(table: Table, name: str, key: str, value: Any) -> None:
    path, kinds = f"{name}.{key}", _kinds_of(table)
    if path not in all_settings(*kinds):
        if value is None:
            return
        raise SettingsError(
            f"{path} is {value!r}, but network.kind {kinds[0]} with wake.kind {kinds[1]} has no such setting.",
            expected=f"one of the kinds {', '.join(kinds_with(path))}",
        )
    table[name][key] = _none_of(path, value)
    hint, default = all_settings(*kinds)[path]
    if table[name][key] is None and type(None) not in get_args(hint) and key not in later_defaults(_class(name, kinds)):
        raise SettingsError(f"{path} is not given.", expected=f"a value such as {default!r}")
    if path == "wake.lr":
        # One for all layers, so that it has an effect where each had its own; in a file it stands before them.
        table[name]["lr_per_layer"] = None


def _none_of(path: str, value: Any) -> Any:
    """None for the text ``none`` where that is no text of its own.

    TOML has no null: so a file can take back what the one it extends has set.
    """
    choices = get_args(all_settings()[path][0])
    text = str in choices or any(get_origin(choice) is Literal for choice in choices)
    return None if value == "none" and type(None) in choices and not text else value


# --- from tables to values --------------------------------------------------------------------------------------------


def _rule(table: Table) -> Rule:
    """The table of a rule, with numbers and texts for its name and parameters."""
    if not isinstance(table.get("name"), str):
        raise SettingsError(
            f"sleep.rule.name is {table.get('name')!r:.80}.", expected="one of: " + ", ".join(sorted(RULES))
        )
    for key, value in table.items():
        if number(value) is None and not isinstance(value, str):
            raise SettingsError(f"sleep.rule.{key} is {value!r:.80}.", expected="a finite number, or a text")
    return Rule(tuple(table.items()))


def _without_later(values: Table, kind: type) -> Table:
    """The values without settings that came later and are not given."""
    missing = {key for key in later_defaults(kind) if values.get(key) is None}
    return {key: value for key, value in values.items() if key not in missing}


def _class(table: str, kinds: tuple[str, str]) -> type:
    """The class of settings that a table is of."""
    if table in ("network", "wake"):
        return NETWORKS[kinds[0]] if table == "network" else WAKES[kinds[1]]
    return _flat_sleep() if table == "sleep" else type(getattr(Experiment(), table))


def experiment_from(table: Table) -> Experiment:
    """The settings that complete tables hold, checked."""
    network, learning = _kinds_of(table)
    kinds = {"network": NETWORKS[network], "wake": WAKES[learning]}
    hints = get_type_hints(Experiment)
    parts: Table = {}
    for name, values in _without_later(table, Experiment).items():
        if name == "sleep":
            parts["rule"] = _rule(values["rule"])
            given = {key: value for key, value in values.items() if key != "rule"}
            flat: object = as_typed(name, _flat_sleep(), _without_later(given, _flat_sleep()))
            parts[name] = Sleep.src2022(**vars(flat), rule=parts["rule"].make())
        elif name in kinds:
            kind = network if name == "network" else learning
            parts[name] = as_typed(name, kinds[name], _without_later(values, kinds[name]) | {"kind": kind})
        elif name in ("data", "nrem"):
            parts[name] = as_typed(name, hints[name], _without_later(values, hints[name]))
        else:
            parts[name] = as_typed(name, hints[name], values)
    return Experiment(**parts)


# --- files ------------------------------------------------------------------------------------------------------------

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


def _read(experiment: str, before: tuple[str, ...] = ()) -> tuple[str, Table, Table]:
    """Name of an experiment, its settings with all defaults, and the tables that are no settings.

    ``before`` are the files that extend it.
    """
    name, given = read_experiment(experiment)
    other = {key: given.pop(key) for key in _OTHER if key in given}
    other["published"] = _published(other.get("published", {}))
    settings = Experiment().table()
    _check_tables(other)
    if "extends" in other:
        chain = (*before, _identity(experiment))
        if _identity(other["extends"]) in chain:
            raise SettingsError(
                f"The experiment {experiment!r} extends itself.",
                found=" -> ".join([*chain, _identity(other["extends"])]),
                expected="another experiment",
            )
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


def _check_tables(other: Table) -> None:
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
    figures = {}
    for strategy, entry in table.items():
        if strategy == "source":
            continue
        if not isinstance(entry, dict) or not {"mean"} <= entry.keys() <= {"mean", "sd", "n", "source", "variant"}:
            raise SettingsError(f"published.{strategy} is {entry!r:.80}.", expected="{mean = ..., sd = ..., n = ...}")
        mean = as_typed(f"published.{strategy}.mean", float, entry["mean"])
        sd = as_typed(f"published.{strategy}.sd", float, entry["sd"]) if "sd" in entry else None
        n = as_typed(f"published.{strategy}.n", int, entry["n"]) if "n" in entry else None
        source = entry.get("source", shared)
        if not isinstance(source, str) or not source:
            raise SettingsError(f"published.{strategy} names no source.", expected='source = "..."')
        figures[strategy] = Published(mean, sd, n, source, str(entry.get("variant", "default")))
    return figures


def load_published(experiment: str) -> dict[str, Published]:
    """The published figures that the file of an experiment states, by strategy; raises as :func:`load_settings`."""
    figures: dict[str, Published] = _read(experiment)[2]["published"]
    return figures


def load_notes(experiment: str) -> dict[str, dict[str, str]]:
    """What the file of an experiment says of its figures, such as what was tried: variant -> strategy -> sentences."""
    table = _read(experiment)[2].get("notes", {})
    if not isinstance(table, dict) or not all(
        isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values()) for entry in table.values()
    ):
        raise SettingsError(f"notes is {table!r:.80}.", expected='[notes.VARIANT] with STRATEGY = "sentences"')
    return table


def variant_names(experiment: str) -> tuple[str, ...]:
    """The variants that the file of an experiment names, such as the points of a sweep.

    See Also
    --------
    load_settings : the settings of one

    Examples
    --------
    >>> from neurosleep.experiments import variant_names
    >>> variant_names("src2022/patches")[:2]
    ('overlap-01', 'overlap-02')
    """
    return tuple(_read(experiment)[2].get("variants", {}))


def default_variants(experiment: str) -> tuple[str, ...]:
    """The variants that are run where none is chosen: those the file names for it, else all it has.

    ``default`` is the experiment without a variant.
    """
    other = _read(experiment)[2]
    chosen: Iterable[str] = other["default_variants"] if "default_variants" in other else other.get("variants", ())
    return tuple(chosen) or ("default",)


def default_strategy(experiment: str, variant: str | None = None) -> str:
    """The strategies that are run where none is named, separated by commas; a variant may have its own."""
    other = _read(experiment)[2]
    return str(other.get("variant_strategy", {}).get(variant, other.get("strategy", "src")))


def load_settings(
    experiment: str,
    *,
    strategy: str | None = None,
    variant: str | None = None,
    changes: Sequence[Change] = (),
) -> tuple[str, Experiment]:
    """Name and settings of a packaged experiment (``src2022/mnist``) or of the user's own TOML file.

    Later ones win: the file's settings, those of its ``variant`` (None or ``default`` is none), what its table
    ``overrides`` holds for the parts of the ``strategy``, with ``faithful`` what its table ``faithful_settings`` holds
    for ``all`` and for those parts, and last the user's ``changes``. Where one of them changes ``network.kind`` or
    ``wake.kind``, what the new kind does not have is dropped, and what stood at a default takes the new one's.

    Raises
    ------
    UnknownNameError
        If there is neither; or a key in the file does not exist (the nearest is named).
    SettingsError
        If the file is not TOML or a value has the wrong type, or makes no sense.

    See Also
    --------
    experiment_names : the packaged ones
    variant_names : the variants of one
    RunRequest : a run with them

    Examples
    --------
    >>> from neurosleep.experiments import load_settings
    >>> name, settings = load_settings("src2022/mnist", strategy="src", changes=[("wake.epochs", 1)])
    >>> settings.network.sizes
    (784, 1200, 1200, 10)
    """
    name, settings, other = _read(experiment)
    variants = other.get("variants", {})
    if variant not in (None, "default") and variant not in variants:
        raise unknown_name("variant", str(variant), ["default", *variants])
    parts = strategy.split("+") if strategy else []
    layers = [variants.get(str(variant), {}), *(other.get("overrides", {}).get(part, {}) for part in parts)]
    if strategy is not None and len(parts) > 1:
        layers.append(other.get("overrides", {}).get(strategy, {}))
    if dict(changes).get("faithful", settings["faithful"]):
        table = other.get("faithful_settings", {})
        layers += [table.get(part, {}) for part in ("all", *parts)]
    for layer in layers:
        _set_all(settings, layer.items())
    return name, _changed(settings, changes)


def apply_changes(settings: Experiment, changes: Sequence[Change]) -> Experiment:
    """``settings`` with the dotted keys in ``changes`` set.

    See Also
    --------
    parse_change : a change from ``key=value``
    load_settings : which takes changes, too

    Examples
    --------
    >>> from neurosleep.experiments import apply_changes, load_settings, parse_change
    >>> name, settings = load_settings("src2022/mnist")
    >>> apply_changes(settings, [parse_change("wake.epochs=1")]).wake.epochs
    1
    """
    return _changed(settings.table(), changes)


def _changed(table: Table, changes: Sequence[Change]) -> Experiment:
    for key, value in changes:
        check_plain(key, value)
    _set_all(table, changes)
    return experiment_from(table)
