"""``neurosleep profiles``: hardware profiles."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from neurosleep.cli._text import print_table, say
from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Json, emit

__all__ = ["profiles"]


def profiles(
    profile: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="A shipped profile, or a .toml file of your own.")
    ] = None,
    section: Annotated[
        str | None, typer.Option(help="Of one profile this table of its file alone: energy, weights, membrane, …")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of profiles, for editors.")] = False,
    as_json: Json = False,
) -> None:
    """List the hardware profiles, or validate one and show each of its figures with its source."""
    with user_errors(as_json):
        from neurosleep.errors import SettingsError
        from neurosleep.hardware import json_schema, load_profile, profile_names

        if schema and profile is not None:
            raise SettingsError(
                f"--schema is the same for every profile, {profile!r} included.", expected="one of them"
            )
        if schema:
            print(json.dumps(json_schema(), indent=None if as_json else 2))
            return
        loaded = [load_profile(name) for name in (profile_names() if profile is None else [profile])]
        rows = [
            {"id": p.id, "name": p.name, "kind": p.kind, "findings": [f.as_json() for f in p.findings]} for p in loaded
        ]
        if section is not None and profile is None:
            raise SettingsError("--section is of one profile.", expected="its name too: neurosleep profiles loihi1")
        if profile is not None:
            rows[0] |= _profile_details(loaded[0])
        if section is not None:
            _keep_section(rows[0], section)
        show = _show_profiles if profile is None else _show_profile if section is None else _show_figures
        emit({"profiles": rows}, as_json, show)


def _keep_section(profile: dict[str, Any], section: str) -> None:
    """Only the figures of a table, and the sources of these."""
    from neurosleep.errors import unknown_name

    sections = dict.fromkeys(figure["key"].partition(".")[0] for figure in profile["figures"])
    if section not in sections:
        raise unknown_name("section", section, sections)
    figures = [figure for figure in profile["figures"] if figure["key"].startswith(f"{section}.")]
    named = {figure["source"] for figure in figures}
    profile["figures"] = figures
    profile["sources"] = {name: one for name, one in profile["sources"].items() if name in named}


def _profile_details(profile: Any) -> dict[str, Any]:
    from neurosleep.hardware import homeostatic_ways, sleep_parts

    figures = [
        {
            "key": figure.key,
            "value": figure.value,
            "source": figure.source.name if figure.source else None,
            "grade": figure.source.grade if figure.source else None,
        }
        for figure in profile.figures()
    ]
    sources = {s.name: {"citation": s.citation, "year": s.year, "grade": s.grade} for s in profile.sources.values()}
    return {
        "file": profile.file,
        "figures": figures,
        "notes": profile.notes(),
        "unpublished": list(profile.unpublished),
        "sleep": [part.to_json() for part in sleep_parts(profile)],
        "homeostasis": {way.name: way.text for way in homeostatic_ways(profile)},
        "sources": sources,
    }


def _show_profiles(result: dict[str, Any]) -> None:
    rows = [(p["id"], p["name"], p["kind"], str(len(p["findings"]))) for p in result["profiles"]]
    print_table("Hardware profiles", ("profile", "chip", "kind", "warnings"), rows)
    say("One of them: neurosleep profiles NAME   A file of your own: neurosleep profiles FILE.toml")


def _show_figures(result: dict[str, Any]) -> None:
    """The figures of a profile, or of a section of it, with their sources."""
    (profile,) = result["profiles"]
    grades = {figure["source"]: _grade(figure["grade"]) for figure in profile["figures"] if figure["source"]}
    # A column that says the same in every row says it once, below.
    several = len(set(grades.values())) > 1
    rows: list[tuple[str, ...]] = []
    table = ""
    for figure in profile["figures"]:
        of, _, name = figure["key"].rpartition(".")
        if of != table:
            table = of
            rows.append((of, "", "", *([""] if several else [])))
        grade = [_grade(figure["grade"])] if several else []
        rows.append((f"  {name}", _plain(figure["value"]), figure["source"] or "-", *grade))
    header = ("figure", "value", "source", *(["grade"] if several else []))
    print_table(f"{profile['name']} ({profile['id']}, {profile['kind']})", header, rows)
    if grades and not several:
        say(f"Grade of every source: {next(iter(grades.values()))}.")
    sources = [(name, f"{s['citation']} ({s['year']})") for name, s in profile["sources"].items()]
    print_table("Sources", ("source", "citation"), sources)


def _show_profile(result: dict[str, Any]) -> None:
    _show_figures(result)
    (profile,) = result["profiles"]
    parts = [(part["part"], part["where"], part["how"]) for part in profile["sleep"]]
    print_table("Which part of a sleep phase runs where", ("part", "where", "how"), parts)
    print_table("Homeostatic sleep on the chip", ("in", "possible"), list(profile["homeostasis"].items()))
    for table, note in profile["notes"].items():
        say(note, f"{table}: ", verdict="note")
    if profile["unpublished"]:
        say(", ".join(profile["unpublished"]), "Not public: ")
    for finding in profile["findings"]:
        say(finding["text"], "Warning: ", verdict="warning")


def _grade(grade: str | None) -> str:
    return "recalled, not verified" if grade == "recalled" else grade or "-"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
