"""Changes of settings, as ``--set`` and the names of variants have them, and the settings as TOML."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TypeAlias

from neurosleep.errors import SettingsError
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.files import check_plain
from neurosleep.experiments.plain import flatten

__all__ = [
    "Change",
    "change_text",
    "changes_between",
    "dump_toml",
    "parse_change",
    "toml_value",
    "variant_name",
]

#: A dotted key and its value.
Change: TypeAlias = tuple[str, object]

# In bytes, of the name of a variant that is made of changes.
_LONGEST_VARIANT = 150
# Tables that are not written down where nothing in them is set, so that resolved files stay what they were before them.
_LATER = ("nrem", "hardware")
# Short for a setting that is often given on the command line.
_ALIASES = {"epochs": "wake.epochs"}


def parse_change(text: str) -> Change:
    """The dotted key and the value of ``key=value``; the value is TOML, or a bare word taken as text.

    ``epochs`` is short for ``wake.epochs``.

    See Also
    --------
    apply_changes : sets it

    Examples
    --------
    >>> from neurosleep.experiments import parse_change
    >>> parse_change("sleep.rule.inc=0.02"), parse_change("epochs=1")
    (('sleep.rule.inc', 0.02), ('wake.epochs', 1))
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set {text!r:.80} cannot be read.", expected="key=value, such as sleep.steps=300")
    key = _ALIASES.get(key.strip(), key.strip())
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except RecursionError as error:
        raise SettingsError(f"--set {text!r:.80} is nested too deep.") from error
    except ValueError:
        parsed = None if value.strip() == "none" else value.strip()
    check_plain(key, parsed)
    return key, parsed


def changes_between(settings: Experiment, changed: Experiment | Mapping[str, object]) -> list[Change]:
    """The dotted keys, sorted, that make ``changed`` of ``settings``: what :func:`apply_changes` takes."""
    before, after = (flatten(one.table() if isinstance(one, Experiment) else one) for one in (settings, changed))
    found = {key: value for key, value in after.items() if before.get(key) != value}
    # A key of the rule can be set but not taken away, so the whole table has to be.
    rule = "sleep.rule."
    if any(key.startswith(rule) for key in before.keys() - after.keys()):
        found = {key: value for key, value in found.items() if not key.startswith(rule)}
        found["sleep.rule"] = {key.removeprefix(rule): value for key, value in after.items() if key.startswith(rule)}
    return sorted(found.items())


def change_text(key: str, value: object) -> str:
    """One change as ``--set`` takes it."""
    if value is None or (isinstance(value, str) and parse_change(f"{key}={value}") == (key, value)):
        return f"{key}={'none' if value is None else value}"
    return f"{key}={toml_value(value)}"


def variant_name(changes: Sequence[Change], variant: str | None = None) -> str:
    """Name of the folder of a variant: ``default``, or its name in the file, the changed keys and their values.

    See Also
    --------
    variant_names : those of an experiment's file

    Examples
    --------
    >>> from neurosleep.experiments import variant_name
    >>> variant_name([("wake.epochs", 1)]), variant_name([])
    ('wake.epochs=1', 'default')
    """
    variant = None if variant == "default" else variant
    if not changes:
        return variant or "default"
    parts = [f"{key}={json.dumps(value).strip(chr(34))}" for key, value in sorted(changes, key=itemgetter(0))]
    text = ",".join([variant, *parts] if variant else parts)
    name = "".join(c if c.isalnum() or c in "=,._-+" else "_" for c in text)
    # A file system takes no longer names, in bytes; what is truncated still tells two variants apart.
    if len(name.encode()) <= _LONGEST_VARIANT:
        return name
    start = name.encode()[: _LONGEST_VARIANT - 10].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(text.encode()).hexdigest()[:9]}"


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    # JSON's numbers, strings and booleans are TOML's.
    return json.dumps(value)


def dump_toml(settings: Experiment | Mapping[str, object], prefix: str = "") -> str:
    """The settings as TOML; optional ones that are not set are left out."""
    settings = settings.table() if isinstance(settings, Experiment) else settings
    plain = [f"{k} = {toml_value(v)}" for k, v in settings.items() if v is not None and not isinstance(v, dict)]
    parts = ["\n".join(plain)] if plain else []
    for key, value in settings.items():
        if isinstance(value, dict):
            if prefix + key in _LATER and all(entry is None for entry in value.values()):
                continue
            inner = dump_toml(value, f"{prefix}{key}.")
            header = f"[{prefix}{key}]"
            parts.append(f"{header}\n{inner}" if value and not inner.startswith("[") else inner or header)
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + ("\n" if not prefix else "")
