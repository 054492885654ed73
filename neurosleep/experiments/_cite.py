"""What to cite: BibTeX of the works that runs, or the whole package, rest on (``references.toml``)."""

from __future__ import annotations

import importlib.metadata
import os
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from neurosleep.errors import NeurosleepError, RunFolderError
from neurosleep.experiments.inside import check_tree, is_there, read_bytes
from neurosleep.experiments.markdown import shown
from neurosleep.experiments.metrics_file import read_json
from neurosleep.experiments.sums import check_sum
from neurosleep.experiments.usual import CHIP_RECIPE, PLAIN
from neurosleep.hardware import load_profile, profile_names

__all__ = ["cite", "known_uses"]

# The package itself, which every bibliography starts with.
_OWN: dict[str, str | list[str]] = {"type": "misc", "author": ["The neurosleep authors"], "title": "neurosleep"}
# The order of the fields of an entry; a field that is not here is not written.
_FIELDS = (
    "author",
    "title",
    "journal",
    "booktitle",
    "publisher",
    "institution",
    "volume",
    "number",
    "pages",
    "year",
    "version",
    "doi",
    "eprint",
    "archiveprefix",
    "note",
)
_VERBATIM = ("doi", "eprint", "archiveprefix", "year")
_ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "ü": r"{\"u}"}
_ESCAPES |= {character: "\\" + character for character in "&%$#_"}
# Grades of a profile's sources that somebody can look up.
_PUBLIC = ("code", "primary", "secondary")

# A field of a work: text, a year, authors, or under "for" what it is cited for; and a work by its fields.
Field: TypeAlias = str | int | list[str] | None
Reference: TypeAlias = dict[str, Field]
# A table of a TOML file.
Table: TypeAlias = dict[str, Any]


class Bibliography(TypedDict):
    """What to cite; see :func:`cite`."""

    folder: str | None
    runs: int
    references: list[Reference]
    without_reference: list[str]
    notes: list[str]
    bibtex: str


# One reason to cite something: the kind of thing that was used (a table of `uses`) and its name.
Use = tuple[str, str]


@cache
def _references() -> Table:
    file = resources.files("neurosleep") / "experiments" / "published" / "references.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def known_uses() -> dict[str, tuple[str, ...]]:
    """The names that ``references.toml`` knows, by kind, such as ``strategy`` or ``engine``."""
    return {kind: tuple(names) for kind, names in _references()["uses"].items()}


def cite(folder: Path | None = None, *, profiles: Sequence[str] = ()) -> Bibliography:
    """The works behind every finished run below ``folder``, or, without one, behind everything in the package.

    Parameters
    ----------
    folder:
        A run folder, or any folder above several. Read are ``metrics.json``, ``config.toml``, ``environment.json`` and
        the names in ``analysis/``.
    profiles:
        Hardware profiles (names or files) whose sources belong to it too, such as those of chips that were mapped to.

    Returns
    -------
    ``{"folder", "runs", "references", "without_reference", "notes", "bibtex"}``: ``references`` are dictionaries of
    plain text with ``key``, ``type``, their fields, and ``for``, what they are cited for (``"strategy ewc"``);
    ``without_reference`` names what was used and rests on no work that is known here; ``bibtex`` is the text of a
    ``.bib`` file, in ASCII.

    Raises
    ------
    RunFolderError
        If there is no finished run, or a file of one cannot be read.

    See Also
    --------
    RunFolder : what is read

    Examples
    --------
    >>> from neurosleep.experiments import cite
    >>> "tadros" in cite()["bibtex"].lower()
    True
    """
    notes: list[str] = []
    runs = 0
    if folder is None:
        uses = [(kind, name) for kind, names in known_uses().items() for name in names]
        uses += [("profile", name) for name in profile_names()]
        versions = _installed()
    else:
        uses, versions = [], set[str]()
        for run in _runs(folder):
            runs += 1
            check_tree(run, folder)
            uses += _uses(run, notes)
            versions |= _versions(run)
        uses = _readable(uses, notes)
    uses += [("profile", name) for name in profiles]
    own: Reference = {"key": "neurosleep", **_OWN}
    own |= {"version": ", ".join(sorted(versions))} if versions else {}
    cited, without = _gather(dict.fromkeys(uses))
    references = [own | {"for": ["neurosleep"]}, *cited]
    return {
        "folder": None if folder is None else str(folder),
        "runs": runs,
        "references": references,
        "without_reference": without,
        "notes": list(dict.fromkeys(notes)),
        "bibtex": "\n\n".join(_entry(reference) for reference in references) + "\n",
    }


def _readable(uses: Iterable[Use], notes: list[str]) -> list[Use]:
    """The uses but for profiles of one's own that are no longer where a run found them."""
    readable = []
    for kind, name in dict.fromkeys(uses):
        try:
            if kind == "profile":
                load_profile(name)
            readable.append((kind, name))
        except NeurosleepError as error:
            notes.append(f"The sources of the hardware profile {name!r} are not in it: {error.message}")
    return readable


def _runs(folder: Path) -> list[Path]:
    if not os.path.isdir(folder):
        raise RunFolderError(f"There is no folder {str(folder)!r}.", expected="a run folder, or one above several")
    folders = sorted(path.parent for path in folder.rglob("metrics.json"))
    if not folders:
        raise RunFolderError(
            f"There are no finished runs in {str(folder)!r}.",
            expected="metrics.json in run folders",
            hint="without a folder, everything is cited that the package rests on",
        )
    return folders


def _installed() -> set[str]:
    try:
        return {importlib.metadata.version("neurosleep")}
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return set()


def _versions(run: Path) -> set[str]:
    path = run / "environment.json"
    versions = read_json(path, run).get("versions") if is_there(path) else None
    own = versions.get("neurosleep") if isinstance(versions, dict) else None
    return {str(own)} if own else set()


def _uses(run: Path, notes: list[str]) -> Iterator[Use]:
    """What one run used, as far as its files tell."""
    path = run / "metrics.json"
    metrics = read_json(path, run)
    experiment, strategy, data = (metrics.get(key) for key in ("experiment", "strategy", "data"))
    if not (isinstance(experiment, str) and isinstance(strategy, str) and isinstance(data, str)):
        raise RunFolderError(
            f"{str(path)!r} is not the metrics of a run of this version.",
            found=f"experiment {experiment!r:.40}, strategy {strategy!r:.40}, data {data!r:.40}",
            expected="three texts",
        )
    yield "experiment", experiment.split("/")[0]
    parts = strategy.split("+")
    yield from (("strategy", part) for part in parts)
    yield from (("data", name.strip().split(":")[0]) for name in data.split(","))
    path = run / "config.toml"
    if is_there(path):
        yield from _of_settings(path, "src" in parts)
    else:
        notes.append(
            "Runs without a config.toml do not tell their engine, rule, recipe and kinds of network and learning."
        )
    tables = {file.stem.removesuffix("_before") for file in (run / "analysis").glob("*.csv")}
    yield from (("analysis", name) for name in sorted(tables & set(known_uses()["analysis"])))
    yield from (("software", name) for name in known_uses()["software"])


def _of_settings(path: Path, sleeps: bool) -> Iterator[Use]:
    try:
        content = read_bytes(path)
        check_sum(path.parent, path.name, content)
        settings = tomllib.loads(content.decode("utf-8"))
        # A kind is left out where it is the plain one.
        yield "network", settings["network"].get("kind", PLAIN[0])
        yield "learning", settings["wake"].get("kind", PLAIN[1])
        if sleeps:
            yield "engine", settings["engine"]
            yield "rule", settings["sleep"]["rule"]["name"]
            yield "recipe", settings["sleep"]["recipe"]
            if settings["sleep"].get("profile") is not None:
                yield "profile", settings["sleep"]["profile"]
        deployed = settings.get("hardware", {})
        yield from (("profile", str(name)) for name in deployed.get("profiles", []))
        if deployed.get("profiles"):
            yield "recipe", deployed.get("recipe") or CHIP_RECIPE
    except RunFolderError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunFolderError(
            f"{str(path)!r} is not the settings of a run.", found=f"{error}"[:200], hint="leave its folder out"
        ) from error
    yield from (("setting", key) for key in known_uses()["setting"] if _is_on(settings, key))


def _is_on(settings: Table, key: str) -> bool:
    """Whether ``table.key`` has a value that does something, or ``table.key=value`` that one."""
    path, _, wanted = key.partition("=")
    table, _, name = path.partition(".")
    value = settings.get(table, {}).get(name)
    return value == wanted if wanted else bool(value)


def _gather(uses: Iterable[Use]) -> tuple[list[Reference], list[str]]:
    """The works, each with all that it is cited for, and the uses that have none; both in the order of the uses."""
    works, table = _references()["works"], _references()["uses"]
    references: dict[str, Reference] = {}
    purposes: dict[str, list[str]] = {}
    without = []
    for kind, name in uses:
        entries = _sources(name) if kind == "profile" else {key: works[key] for key in table[kind].get(name, [])}
        if not entries:
            without.append(f"{kind} {name}")
        for key, entry in entries.items():
            purposes.setdefault(key, []).append(f"{kind} {name}")
            references[key] = {"key": key, **entry, "for": purposes[key]}
    return list(references.values()), without


def _sources(name: str) -> dict[str, Reference]:
    """The sources of a profile that can be looked up; what is recalled or ours is left out."""
    profile = load_profile(name)
    return {
        f"{profile.id}-{source.name}": {"type": "misc", "note": source.citation, "year": source.year}
        for source in profile.sources.values()
        if source.grade in _PUBLIC
    }


def _entry(reference: Reference) -> str:
    """One entry of a ``.bib`` file, with what it is cited for as a comment before it."""
    values = {name: value for name in _FIELDS if (value := reference.get(name)) is not None}
    fields = [f"  {name} = {{{_value(name, value)}}}," for name, value in values.items()]
    purposes = reference["for"]
    cited = ", ".join(purposes) if isinstance(purposes, list) else ""
    return "\n".join([f"% {shown(cited)}", f"@{reference['type']}{{{reference['key']},", *fields, "}"])


def _value(name: str, value: Field) -> str:
    if isinstance(value, list):
        # "Family, Given"; a name without a comma is that of a group, which braces keep in one piece.
        return " and ".join(_tex(a) if "," in a or a == "others" else f"{{{_tex(a)}}}" for a in value)
    if name in _VERBATIM:
        return str(value)
    # A second pair of braces keeps the capitals of a title.
    return f"{{{_tex(str(value))}}}" if name == "title" else _tex(str(value))


def _tex(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)
