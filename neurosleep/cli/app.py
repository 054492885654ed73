"""Thin commands over the rooms. Nothing heavy is imported before a command runs, so that ``--help`` answers at once."""

from __future__ import annotations

import errno
import json
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from neurosleep.errors import NeurosleepError, RunFolderError, RunsFailedError, shorten_warnings

__all__ = ["app", "main"]

# By way of its public child, since the class itself lives in click or, in newer versions of typer, in typer.
UsageError: Any = typer.BadParameter.__base__

# Why the operating system refuses a file, where that is for the user to mend: its name, rights, room, a read-only disk.
_REFUSED = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class _Commands(TyperGroup):
    """The commands; with ``--json``, a mistake in the arguments themselves is one JSON object too."""

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        as_json = "--json" in args  # parsing empties the list
        with _usage_errors(as_json):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta["neurosleep.json"] = as_json
        return context

    def invoke(self, ctx: Any) -> Any:
        with _usage_errors(ctx.meta["neurosleep.json"]):
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A trained network that forgets becomes a spiking network, sleeps, wakes up and remembers.",
)

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
Out = Annotated[Path, typer.Option(help="Output folder.")]
Data = Annotated[str | None, typer.Option(help="Folder of the data sets (else NEUROSLEEP_DATA, else a download).")]
Seed = Annotated[int, typer.Option(help="First seed.")]


def _print_error(kind: str, message: str, hint: str | None) -> None:
    print(json.dumps({"error": {"type": kind, "message": message, "hint": hint}}))


def _described(error: NeurosleepError) -> dict[str, Any]:
    # What was found and expected belongs to the message here: the object has no other place for it.
    details = [f"{k}: {v}" for k, v in (("found", error.found), ("expected", error.expected)) if v]
    message = " ".join([error.message, *(f"({d})" for d in details)])
    return {"type": type(error).__name__, "message": message, "hint": error.hint}


def _fail(error: NeurosleepError, as_json: bool, more: dict[str, Any] | None = None) -> None:
    if as_json:
        print(json.dumps({"error": _described(error), **(more or {})}, allow_nan=False))
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    if isinstance(error, RunsFailedError) and error.internal is not None:
        traceback.print_exception(error.internal)
        raise typer.Exit(1)
    raise typer.Exit(2)


@contextmanager
def _usage_errors(as_json: bool) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        if not as_json:
            raise
        path = error.ctx.command_path if error.ctx else "neurosleep"
        _print_error("UsageError", error.format_message(), f"{path} --help names what it takes")
        raise typer.Exit(2) from error


@contextmanager
def _user_errors(as_json: bool) -> Iterator[None]:
    try:
        yield
    except NeurosleepError as error:
        _fail(error, as_json)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        name = str(error.filename or "a file")
        hint = "name another place, or free some space"
        _fail(RunFolderError(f"{name!r:.80} cannot be used.", found=error.strerror, hint=hint), as_json)


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


@contextmanager
def _interruptible(as_json: bool, hint: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a command with one message that says how to go on; the exit code is 128 + the signal."""

    def terminate(number: int, frame: Any) -> None:
        raise _TerminatedError

    handled = threading.current_thread() is threading.main_thread()
    handled = handled and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if handled:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        number = signal.SIGTERM if isinstance(stop, _TerminatedError) else signal.SIGINT
        message = f"Stopped by {number.name}; whatever was under way is ended."
        if as_json:
            _print_error("Interrupted", message, hint)
        else:
            print(f"{message}\n  Try:      {hint}", file=sys.stderr)
        raise typer.Exit(128 + number) from None
    finally:
        if handled:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _emit(result: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    if as_json:
        print(json.dumps(result, allow_nan=False))
    else:
        show(result)


def _table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As texts, since names and citations from files may hold what rich takes for markup.
    table = Table(title=Text(title), title_justify="left")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _percent(entry: dict[str, Any]) -> str:
    if entry["mean"] is None:
        return "-"
    return f"{100 * entry['mean']:.2f}" + ("" if entry["sd"] is None else f" ± {100 * entry['sd']:.2f}") + " %"


@contextmanager
def _progress(labels: list[str]) -> Iterator[Callable[[int, str], None]]:
    """One line per run on standard error, on a terminal only."""
    if not sys.stderr.isatty() or not labels:
        yield lambda number, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        whole = progress.add_task("runs", total=len(labels), text="")

        def report(number: int, text: str) -> None:
            if text in ("done", "failed"):
                progress.advance(whole)
            progress.update(whole, text=f"{labels[number]}: {text}")

        yield report


def _requests(
    experiment: str,
    strategies: str | None,
    seeds: range,
    changes: list[str],
    engine: str | None,
    data: str | None,
    out: Path,
    resume: bool,
    variants: list[str] | None = None,
) -> list[Any]:
    import os

    from neurosleep.experiments import RunRequest, load_settings, parse_change, variant_name
    from neurosleep.experiments.settings import default_strategy, default_variants

    name, settings = load_settings(experiment)
    parsed = [parse_change(text) for text in changes]
    if engine is not None and engine != settings["engine"]:
        parsed.append(("engine", engine))
    command = shlex.join(["neurosleep", *sys.argv[1:]])
    folder = data or os.environ.get("NEUROSLEEP_DATA")
    # A file's variants are the points of one figure or table: without a choice, all that it does not keep back.
    chosen = variants or default_variants(experiment)
    return [
        RunRequest(
            name,
            variant_name(parsed, variant),
            strategy,
            seed,
            load_settings(experiment, strategy=strategy, variant=variant, changes=parsed)[1],
            folder,
            str(out),
            resume,
            command,
        )
        for variant in chosen
        for seed in seeds
        for strategy in _strategies(default_strategy(experiment, variant) if strategies is None else strategies)
    ]


def _strategies(text: str) -> list[str]:
    """Names separated by commas, each known."""
    from neurosleep.experiments.settings import check_strategies

    names = [name.strip() for name in text.split(",") if name.strip()]
    check_strategies(names)
    return names


def _seeds(first: int, number: int) -> range:
    from neurosleep.errors import SettingsError

    if number < 1 or first < 0:
        raise SettingsError(f"--seed {first} --seeds {number} names no seeds.", expected="--seed >= 0 and --seeds >= 1")
    return range(first, first + number)


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(help="A packaged experiment, or your own TOML file.")],
    strategy: Annotated[
        str | None, typer.Option(help="Strategies, separated by commas; else the experiment's own, or src.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 1,
    seed: Seed = 0,
    changes: Annotated[list[str] | None, typer.Option("--set", help="key=value; may be given again.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="Variants in the experiment's file, separated by commas; else its usual ones.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Engine that steps the sleeping network.")] = None,
    data: Data = None,
    out: Out = Path("runs"),
    jobs: Annotated[int, typer.Option(help="Runs side by side, one thread each.")] = 1,
    resume: Annotated[bool, typer.Option(help="Go on with runs that were stopped.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="With --resume, also with other data or packages; metrics.json says so."),
    ] = False,
    tuned: Annotated[bool, typer.Option("--tuned", help="With the settings found by tune, as committed.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Show rates, weights and accuracy while it sleeps.")] = False,
    follow: Annotated[
        Path | None, typer.Option(help="File to which what happens is added, an object of JSON on each line.")
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    as_json: Json = False,
) -> None:
    """Run an experiment: strategies × seeds, each into a folder of its own."""
    with _interruptible(as_json, "the same command with --resume goes on where it stopped"), _user_errors(as_json):
        from neurosleep.experiments import run_experiment, summarise

        variants = [name.strip() for name in (variant or "").split(",") if name.strip()]
        requests = _requests(
            experiment, strategy, _seeds(seed, seeds), changes or [], engine, data, out, resume, variants
        )
        if force:
            requests = [replace(request, force=True) for request in requests]
        if tuned:
            requests = _with_tuned(requests, experiment, changes or [], engine)
        labels = [f"{r.variant}, {r.strategy}, seed {r.seed}" for r in requests]
        try:
            with _listening(live, follow, tensorboard, jobs) as listener, _progress([] if live else labels) as report:
                runs = run_experiment(requests, jobs=jobs, report=report, listener=listener)
        except RunsFailedError as error:
            names = [name for name, _ in error.failures]
            result = {"out": str(out), "runs": error.runs, "summary": summarise(error.runs, names)}
            if not as_json:
                _show_summary(result)
            failed = [{**name, "error": _failure(failure)} for name, failure in error.failures]
            _fail(error, as_json, {**result, "failed": failed})
        else:
            _emit({"out": str(out), "runs": runs, "summary": summarise(runs)}, as_json, _show_summary)


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, NeurosleepError):
        return _described(error)
    return {"type": type(error).__name__, "message": str(error), "hint": None}


@contextmanager
def _listening(live: bool, follow: Path | None, tensorboard: Path | None, jobs: int) -> Iterator[Any]:
    """What is to be told of runs while they go on; None if nothing is."""
    from neurosleep.errors import SettingsError

    if not (live or follow or tensorboard):
        yield None
        return
    from neurosleep.experiments import Follow, Listeners, TensorBoard

    told = ([] if follow is None else [Follow(follow)]) + ([] if tensorboard is None else [TensorBoard(tensorboard)])
    if not live:
        yield Listeners(*told)
        return
    if jobs != 1:
        raise SettingsError(
            f"--live shows one run at a time, and --jobs is {jobs}.", expected="--jobs 1, or --follow FILE for several"
        )
    from neurosleep.cli._live import live_view

    with live_view() as view:
        yield Listeners(view, *told)


def _with_tuned(requests: list[Any], experiment: str, changes: list[str], engine: str | None) -> list[Any]:
    from neurosleep.experiments import parse_change, with_tuned

    parsed = [parse_change(text) for text in changes] + ([("engine", engine)] if engine is not None else [])
    return [with_tuned(request, experiment, parsed) for request in requests]


def _show_summary(result: dict[str, Any]) -> None:
    for variant in dict.fromkeys(r["variant"] for r in result["summary"]):
        rows = [
            (
                r["strategy"],
                _percent(r["accuracy_all"]),
                *(str(n) for n in (r["accuracy_all"]["n"], r["diverged"], r["failed"])),
            )
            for r in result["summary"]
            if r["variant"] == variant
        ]
        name = result["summary"][0]["experiment"]
        title = f"{name} ({variant}): accuracy over all classes after the last task"
        _table(title, ("strategy", "accuracy", "n", "diverged", "failed"), rows)
    print(f"Runs: {result['out']}   Report: neurosleep report {result['out']}")


@app.command()
def tune(
    experiment: Annotated[str, typer.Argument(help="A packaged experiment, or your own TOML file.")],
    strategy: Annotated[str, typer.Option(help="The strategy whose settings are searched.")] = "src",
    trials: Annotated[int, typer.Option(help="Number of finished trials, those resumed included.")] = 20,
    sampler: Annotated[str, typer.Option(help="tpe, cma-es or nsga2.")] = "tpe",
    seeds: Annotated[int, typer.Option(help="Tuning seeds that a trial is averaged over: 100, 101, …")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, which is then not varied; may be given again.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Variant in the experiment's file; else what it begins with.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Give a trial up below the median of the others.")] = False,
    engine: Annotated[str | None, typer.Option(help="Engine that steps the sleeping network.")] = None,
    data: Data = None,
    out: Out = Path("tuned"),
    jobs: Annotated[int, typer.Option(help="Trials side by side, one thread each.")] = 1,
    resume: Annotated[bool, typer.Option(help="Go on with a search, also with more trials.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="With --resume, also with other data or packages; the file found says so."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Search for the settings of a strategy on the validation split, and write them as a settings file."""
    with _interruptible(as_json, "the same command with --resume goes on where it stopped"), _user_errors(as_json):
        from neurosleep.errors import SettingsError
        from neurosleep.experiments import TuneRequest, parse_change, search_space
        from neurosleep.experiments import tune as search
        from neurosleep.experiments.settings import check_strategies, default_variants, variant_names

        check_strategies([strategy])
        names = [variant] if variant else list(default_variants(experiment))
        if len(names) > 1:
            raise SettingsError(
                f"The experiment {experiment!r} has {len(names)} usual variants.",
                expected="--variant with one of: " + ", ".join(["default", *variant_names(experiment)]),
            )
        runs = _requests(experiment, strategy, range(1), changes or [], engine, data, out, resume, names)
        kept = [parse_change(text)[0] for text in changes or []]
        if "data.split" in kept:
            raise SettingsError("--set data.split has no place here.", expected="the validation split, always")
        space = search_space(experiment, strategy, runs[0].settings, kept)
        request = TuneRequest(replace(runs[0], force=force), space, trials, sampler, seed, seeds, prune, names[0])
        with _progress([f"trial {number}" for number in range(trials)]) as progress:
            found = search(request, jobs=jobs, report=progress)

        def show(result: dict[str, Any]) -> None:
            rows = [(key, json.dumps(value)) for key, value in result["best"].items()]
            _table(f"Found for {strategy} in {result['trials']} trials", ("setting", "value"), rows)
            print(f"Validation: {_percent(result['validation'])} (n = {result['validation']['n']}), best of all trials")
            print(f"Settings: {result['file']}   Run: neurosleep run {result['file']} --strategy {strategy}")

        _emit({"out": str(out), **found}, as_json, show)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of runs.")],
    animate: Annotated[
        bool, typer.Option("--animate", help="Also a GIF of a recorded night of each strategy (figures/night.gif).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML file about the runs in a folder."""
    with _user_errors(as_json):
        from neurosleep.experiments import write_animations, write_report

        found = {"animations": [str(path) for path in write_animations(folder)]} if animate else {}

        def show(result: dict[str, Any]) -> None:
            print(result["html"])
            if animate and not result["animations"]:
                print("No night was recorded: neurosleep run --set record=all keeps its spikes.", file=sys.stderr)

        _emit({"html": str(write_report(folder)), **found}, as_json, show)


@app.command("list")
def list_names(as_json: Json = False) -> None:
    """Name the experiments, strategies, engines, rules, profiles and data sets there are."""
    with _user_errors(as_json):
        from neurosleep.data import dataset_names
        from neurosleep.experiments import STRATEGIES, experiment_names
        from neurosleep.functional import RULES
        from neurosleep.hardware import profile_names
        from neurosleep.spiking import engine_names

        result: dict[str, Any] = {
            "experiments": list(experiment_names()),
            "strategies": list(STRATEGIES),
            "engines": list(engine_names()),
            "rules": sorted(RULES),
            "profiles": list(profile_names()),
            "datasets": list(dataset_names()),
        }

        def show(result: dict[str, Any]) -> None:
            rows = [(kind, ", ".join(names) or "none yet") for kind, names in result.items()]
            _table("What there is", ("kind", "names"), rows)

        _emit(result, as_json, show)


@app.command()
def profiles(
    profile: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="A shipped profile, or a .toml file of your own.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of profiles, for editors.")] = False,
    as_json: Json = False,
) -> None:
    """List the hardware profiles, or validate one and show each of its figures with its source."""
    with _user_errors(as_json):
        from neurosleep.errors import SettingsError
        from neurosleep.hardware import json_schema, load_profile, profile_names

        if schema and profile is not None:
            raise SettingsError(
                f"--schema is the same for every profile, {profile!r} included.", expected="one of them"
            )
        if schema:
            print(json.dumps(json_schema(), indent=None if as_json else 2))
            return
        found = [load_profile(name) for name in (profile_names() if profile is None else [profile])]
        rows = [
            {"id": p.id, "name": p.name, "kind": p.kind, "findings": [f.as_json() for f in p.findings]} for p in found
        ]
        if profile is not None:
            rows[0] |= _profile_details(found[0])
        _emit({"profiles": rows}, as_json, _show_profiles if profile is None else _show_profile)


def _profile_details(profile: Any) -> dict[str, Any]:
    from neurosleep.hardware import sleep_parts

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
        "sources": sources,
    }


def _show_profiles(result: dict[str, Any]) -> None:
    rows = [(p["id"], p["name"], p["kind"], str(len(p["findings"]))) for p in result["profiles"]]
    _table("Hardware profiles", ("profile", "chip", "kind", "warnings"), rows)
    print("One of them: neurosleep profiles NAME   A file of your own: neurosleep profiles FILE.toml")


def _show_profile(result: dict[str, Any]) -> None:
    (profile,) = result["profiles"]
    rows: list[tuple[str, str, str, str]] = []
    table = ""
    for figure in profile["figures"]:
        of, _, name = figure["key"].rpartition(".")
        if of != table:
            table = of
            rows.append((of, "", "", ""))
        grade = "recalled, not verified" if figure["grade"] == "recalled" else figure["grade"] or "-"
        rows.append((f"  {name}", _plain(figure["value"]), figure["source"] or "-", grade))
    _table(f"{profile['name']} ({profile['id']}, {profile['kind']})", ("figure", "value", "source", "grade"), rows)
    sources = [(name, f"{s['citation']} ({s['year']})") for name, s in profile["sources"].items()]
    _table("Sources", ("source", "citation"), sources)
    parts = [(part["part"], part["where"], part["how"]) for part in profile["sleep"]]
    _table("Where a sleep takes place", ("part", "where", "how"), parts)
    for table, note in profile["notes"].items():
        print(f"{table}: {note}")
    if profile["unpublished"]:
        print("Not public: " + ", ".join(profile["unpublished"]))
    for finding in profile["findings"]:
        print("Warning: " + finding["text"])


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


@app.command()
def cite(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Folder of runs; else everything the package rests on.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Hardware profiles whose sources belong to it, separated by commas.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print BibTeX of what runs used: experiment, strategies, engines, conversion, data, and the package itself."""
    with _user_errors(as_json):
        from neurosleep.experiments import cite as find

        names = [name.strip() for name in (profile or "").split(",") if name.strip()]

        def show(result: dict[str, Any]) -> None:
            print(result["bibtex"], end="")
            # Beside the entries, so that what is piped into a file is BibTeX alone.
            if result["folder"] is not None and result["without_reference"]:
                print("Nothing to cite for: " + ", ".join(result["without_reference"]), file=sys.stderr)
            for note in result["notes"]:
                print(note, file=sys.stderr)

        _emit(find(folder, profiles=names), as_json, show)


@app.command()
def results(
    folder: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("docs/results.md"),
    as_json: Json = False,
) -> None:
    """Write docs/results.md from the metrics of full runs."""
    with _user_errors(as_json):
        from neurosleep.experiments import results_page, write_whole

        page, rows = results_page(folder)
        write_whole(out, page)
        _emit({"file": str(out), "rows": rows}, as_json, lambda r: print(f"{r['file']}: {r['rows']} rows"))


@app.command()
def convert(
    model: Annotated[Path, typer.Argument(help="File of a network: .onnx, .nir, .safetensors.")],
    to: Annotated[str, typer.Option(help="What to make of it: snn, nir, onnx, snntorch, norse.")],
    out: Annotated[Path, typer.Option(help="File to write; for snntorch and norse a folder.")],
    calibration: Annotated[Path | None, typer.Option(help="Images (.npy, .npz) for an awake network's scale.")] = None,
    recipe: Annotated[str | None, typer.Option(help="How an awake network is scaled; else percentile.")] = None,
    reset: Annotated[str | None, typer.Option(help="Of the neurons made: to_value or subtract; else subtract.")] = None,
    approximate: Annotated[bool, typer.Option("--approximate", help="Average in place of max-pooling.")] = False,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="The nearest of what snnTorch or Norse cannot express.")
    ] = False,
    external_data: Annotated[Path | None, typer.Option(help="Second file that holds an ONNX file's weights.")] = None,
    as_json: Json = False,
) -> None:
    """Turn a network's file into another format, and an awake network into a spiking one."""
    with _user_errors(as_json):
        from neurosleep.exchange import convert_file

        given = {"calibration": calibration, "recipe": recipe, "external_data": external_data, "reset": reset}
        found = convert_file(model, to=to, out=out, approximate=approximate, inexact=inexact, **given)  # type: ignore[arg-type]

        def show(result: dict[str, Any]) -> None:
            rows = [(layer["name"], layer["kind"], _layer_size(layer)) for layer in result["layers"]]
            _table(f"Layers of {result['out']}", ("layer", "kind", "size"), rows)
            for key, value in result["report"].items():
                print(f"{key}: {json.dumps(value)}")

        _emit(found, as_json, show)


@app.command("map")
def map_network(
    model: Annotated[Path, typer.Argument(help="File of a network: .onnx, .nir, .safetensors.")],
    profile: Annotated[str, typer.Option(help="A chip's profile by name, or your own TOML file.")],
    rounding: Annotated[str | None, typer.Option(help="How weights are rounded; else as the profile says.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Images (.npy, .npz) for an awake network's scale.")] = None,
    recipe: Annotated[str | None, typer.Option(help="How an awake network is scaled; else percentile.")] = None,
    approximate: Annotated[bool, typer.Option("--approximate", help="Average in place of max-pooling.")] = False,
    external_data: Annotated[Path | None, typer.Option(help="Second file that holds an ONNX file's weights.")] = None,
    steps: Annotated[int, typer.Option(help="How long the network will run at a stretch.")] = 100,
    allow_split: Annotated[
        bool,
        typer.Option("--allow-split", help="Split sums too long for a neuron over helpers; less accurate."),
    ] = False,
    mismatch_sd: Annotated[
        float | None, typer.Option(help="Of an analogue chip, relative; else the profile's figure, if it has one.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Images (.npy, .npz) to simulate for the energy; else those for the scale.")
    ] = None,
    coding: Annotated[str, typer.Option(help="How images become spikes: bernoulli, poisson.")] = "bernoulli",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say what a network becomes on a chip: cores, limits, errors of quantisation, and energy, given images."""
    with _user_errors(as_json):
        from neurosleep.hardware import energy_text, map_file

        found = map_file(
            model,
            profile,
            rounding=rounding,
            seed=seed,
            steps=steps,
            allow_split=allow_split,
            mismatch_sd=mismatch_sd,
            calibration=calibration,
            recipe=recipe,
            external_data=external_data,
            approximate=approximate,
            inputs=inputs,
            coding=coding,
        )

        def show(result: dict[str, Any]) -> None:
            rows = [
                (
                    f"{layer['source']} > {layer['layer']}",
                    str(layer["bits"] or "float"),
                    f"{layer['scale']:.4g}",
                    "-" if layer["error"] is None else f"{100 * layer['error']:.2f} %",
                    str(layer["saturated"]),
                    str(layer["zeroed"]),
                    str(layer["cores"] or "-"),
                )
                for layer in result["layers"]
            ]
            header = ("layer", "bits", "scale", "error of weights", "cut off", "became 0", "cores")
            _table(f"On {result['profile']}", header, rows)
            for finding in result["findings"]:
                print(f"{finding['level']}: {': '.join(t for t in (finding['layer'], finding['text']) if t)}")
            print(f"Fits: {'yes' if result['fits'] else 'no'}   Cores: {result['cores'] or '-'}")
            print(energy_text(result["profile"], result["energy"]))

        _emit(found, as_json, show)


def _layer_size(layer: dict[str, Any]) -> str:
    return " x ".join(map(str, layer.get("shape") or layer.get("weight") or [])) or "-"


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="The benchmark: ep, map, record, simulate, sleep.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Time sleep, recording (record), batches of images (simulate), Equilibrium Propagation (ep), or mapping (map)."""
    with _user_errors(as_json):
        from neurosleep.bench import BENCHMARKS
        from neurosleep.errors import unknown_name

        if name not in BENCHMARKS:
            raise unknown_name("benchmark", name, BENCHMARKS)

        def show(result: dict[str, Any]) -> None:
            rows = []
            for what, value in result["seconds"].items():
                time = f"{1e6 * value:.2f} µs" if value < 0.01 else f"{1e3 * value:.1f} ms"
                more = [] if "memory" not in result else [_or_dash(result[key][what]) for key in ("memory", "cores")]
                rows.append((what, f"{time} a {result['unit']}", *more))
            header = ("what", "time") if "memory" not in result else ("what", "time", "memory in bytes", "cores")
            _table(f"{name}, one thread", header, rows)
            _table("Ratios", ("ratio", "value"), [(key, f"{value:.2f}") for key, value in result["ratios"].items()])
            for key, reasons in result.get("refused", {}).items():
                print("\n  ".join([f"Not on {key}:", *reasons]))

        _emit(BENCHMARKS[name](data), as_json, show)


@app.command()
def demo(
    out: Out = Path("demo"),
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Runs side by side.")] = 2,
    as_json: Json = False,
) -> None:
    """Two digits after another on embedded real data: forgetting, sleep, and what came back."""
    with _interruptible(as_json, "start it anew, with another --out"), _user_errors(as_json):
        from neurosleep.experiments import run_experiment, summarise, write_report

        requests = _requests("demo/mnist-mini", "sequential,src", _seeds(seed, seeds), [], None, None, out, False)
        with _progress([f"{r.strategy}, seed {r.seed}" for r in requests]) as progress:
            runs = run_experiment(requests, jobs=jobs, report=progress)
        page = write_report(out)
        summary = summarise(runs)
        result = {
            "out": str(out),
            "strategies": {row["strategy"]: {"accuracy_all": row["accuracy_all"]} for row in summary},
            "report": str(page),
        }

        def show(result: dict[str, Any]) -> None:
            first = next(run for run in runs if run["strategy"] == "src")
            rows = [
                (f"task {k + 1}", *(f"{100 * b:.0f} > {100 * a:.0f}" for b, a in zip(before, after, strict=True)))
                for k, (before, after) in enumerate(
                    zip(first["accuracy_before_sleep"], first["accuracy_matrix"], strict=True)
                )
            ]
            header = ("after", "0, 1", "2, 3", "4, 5", "6, 7", "8, 9")
            _table(f"Percent right on each pair of digits, before > after the sleep (seed {seed})", header, rows)
            table = [
                (name, _percent(entry["accuracy_all"]), str(entry["accuracy_all"]["n"]))
                for name, entry in result["strategies"].items()
            ]
            _table("Accuracy on all ten digits after the last task", ("strategy", "accuracy", "seeds"), table)
            raster = requests[-1].folder.path / "figures" / "raster.png"
            print(f"Report: {result['report']}\nRaster: {raster}")

        _emit(result, as_json, show)


def main() -> None:
    """Entry point of the ``neurosleep`` command."""
    shorten_warnings()
    app()
