"""Short names of changed settings in an output folder, which ``variants.toml`` beside the variants holds.

::

    v1 = ["sleep.steps=3000", "wake.lr=0.1"]
    wide = ["network.sizes=[784, 1200, 10]"]

The same changes have the same name again, so that a run is found and resumed by its settings alone.
"""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from neurosleep._files import hold_lock, write_whole
from neurosleep.errors import RunFolderError, SettingsError
from neurosleep.experiments.changes import Change, change_text, toml_value, variant_name
from neurosleep.experiments.inside import check_inside, is_there, read_text
from neurosleep.experiments.names import folder_name

__all__ = ["VARIANTS", "named_changes", "variant_with", "variants_in"]

#: The file, in the folder of an experiment.
VARIANTS = "variants.toml"
_LOCK = "variants.lock"
# What a variant is called that has no changes, or those of a search.
_RESERVED = ("default", "tuned")


def variants_in(folder: Path) -> dict[str, list[str]]:
    """The changes behind each short name in the folder of an experiment, as ``--set`` takes them.

    Raises
    ------
    RunFolderError
        If the file is damaged.
    """
    path = folder / VARIANTS
    if not is_there(path):
        return {}
    check_inside(path, folder)
    try:
        table = tomllib.loads(read_text(path))
    except ValueError as error:
        raise RunFolderError(
            f"{str(path)!r} is damaged.", found=str(error)[:200], hint="choose another --out"
        ) from error
    for name, changes in table.items():
        if not isinstance(changes, list) or not all(isinstance(change, str) for change in changes):
            raise RunFolderError(
                f"{str(path)!r} is damaged.", found=f"{name}: {changes!r:.80}", expected="lists of texts"
            )
    return table


@contextmanager
def named_changes(
    out: Path, experiment: str, changes: Sequence[Change], *, name: str | None = None, in_file: Sequence[str] = ()
) -> Iterator[str | None]:
    """Meanwhile, and afterwards if a run was started, the name of ``changes`` in the output folder: v1, v2 and so on.

    Parameters
    ----------
    out, experiment:
        The output folder, and the experiment in it.
    changes:
        Dotted keys and values; without any, and without a name, there is None.
    name:
        What they shall be called instead.
    in_file:
        Names of the variants in the experiment's file, which no changes can have.

    Raises
    ------
    SettingsError
        If ``name`` is that of other changes, or cannot name a folder.
    """
    if name is not None:
        _check_name(name, in_file)
    elif not changes:
        yield None
        return
    folder = Path(out, folder_name("experiment", experiment, levels=True))
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    texts = sorted(change_text(key, value) for key, value in changes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(folder / _LOCK):
            table = variants_in(folder)
            chosen = name or _name_of(texts, table, folder, in_file)
            if table.get(chosen, texts) != texts:
                raise _taken(chosen, table[chosen])
            new = chosen not in table
            if new:
                _write(folder, {**table, chosen: texts})
    except OSError:
        # What is wrong with the folder is said by what checks it.
        yield name or "v1"
        return
    try:
        yield chosen
    finally:
        if new and not _used(folder, chosen):
            with hold_lock(folder / _LOCK):
                _write(folder, {key: one for key, one in variants_in(folder).items() if key != chosen})
            if not is_there(folder / VARIANTS):
                (folder / _LOCK).unlink(missing_ok=True)
            for one in made:
                with contextlib.suppress(OSError):
                    one.rmdir()


def variant_with(
    folder: Path, short: str | None, changes: Sequence[Change], variant: str | None, *, named: bool
) -> str:
    """Name of the folder of ``variant`` with ``changes``, whose short name is ``short``.

    Where earlier versions have written runs under all that was changed, that stays their name; ``named`` says that
    ``short`` was given, and so is always meant.
    """
    variant = None if variant == "default" else variant
    if short is None:
        return variant or "default"
    spelt = variant_name(changes, variant)
    if not named and any((folder / place).is_dir() for place in (spelt, f"tuned,{spelt}")):
        return spelt
    return f"{variant},{short}" if variant else short


def _check_name(name: str, in_file: Sequence[str]) -> None:
    folder_name("variant", name)
    if name in (*_RESERVED, *in_file) or set(name) & {",", "="}:
        raise SettingsError(
            f"--name {name!r} cannot name changed settings.",
            expected=f"a name without commas and =, other than {', '.join((*_RESERVED, *in_file))}",
        )


def _name_of(texts: list[str], table: dict[str, list[str]], folder: Path, in_file: Sequence[str]) -> str:
    """The name that these changes have, else the first number that nothing has."""
    same = next((name for name, changes in table.items() if changes == texts), None)
    numbers = (f"v{number}" for number in itertools.count(1))
    return same or next(one for one in numbers if one not in (*table, *in_file) and not (folder / one).exists())


def _taken(name: str, changes: list[str]) -> SettingsError:
    return SettingsError(
        f"The runs called {name!r} have other settings.",
        found=", ".join(changes) or "none changed",
        hint="give these another --name, or choose another folder with --out",
    )


def _write(folder: Path, table: dict[str, list[str]]) -> None:
    rows = [f"{toml_value(name)} = {toml_value(changes)}\n" for name, changes in table.items()]
    if rows:
        write_whole(folder / VARIANTS, "".join(rows))
    else:
        (folder / VARIANTS).unlink(missing_ok=True)


def _used(folder: Path, name: str) -> bool:
    """Whether a run was started under this name."""
    return any(
        name in one.name.split(",") and any(one.rglob("config.toml")) for one in folder.iterdir() if one.is_dir()
    )
