"""The tables of results in Markdown: ours beside the published figures, what is rarely asked for folded below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from neurosleep.experiments.markdown import plain_text, shown, table_of_texts
from neurosleep.experiments.results.commands import together
from neurosleep.experiments.results.compared import NOT_AT_HAND, OURS, figure_text
from neurosleep.experiments.results.layout import Known, known_figures
from neurosleep.experiments.results.rows import ResultRow
from neurosleep.experiments.variant_parts import variant_order

__all__ = ["markdown_table", "method_order", "table_lines", "wide", "with_links"]

# What an address is made of after the name of its kind.
_ADDRESSES = {"doi:": "https://doi.org/", "arXiv:": "https://arxiv.org/abs/"}


@dataclass(frozen=True)
class _Line:
    """A row as a table shows it, and what is ``known`` from elsewhere."""

    row: ResultRow
    known: Known | None
    protocol: bool


def with_links(source: str) -> str:
    """The text of a source as Markdown, its DOI or arXiv number as a link.

    >>> print(with_links("A (2022), doi:10.1/x"))
    A (2022), [doi:10.1/x](https://doi.org/10.1/x)
    """

    def link(match: re.Match[str]) -> str:
        return f"[{match[1]}{match[2]}]({_ADDRESSES[match[1]]}{match[2]})"

    return re.sub(r"(doi:|arXiv:)([\w./-]*\w)", link, source)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table of plain texts, closer than those of other pages."""
    # A mean and its spread stay on one line: the spaces are ones that do not break.
    return wide([line.replace(" ± ", "\u00a0±\u00a0") for line in table_of_texts(header, rows)])


def wide(table: Sequence[str]) -> list[str]:
    """The lines of a table that may be wider than its page, which then scrolls in itself."""
    return ['<div class="ns-table" markdown="1">', "", *table, "", "</div>"]


def method_order(row: ResultRow) -> tuple[int, str]:
    """What sorts methods: sequential training, the methods, joint training."""
    last = {"sequential": 0, "joint-matched": 2, "joint": 3}
    return last.get(row.strategy, 1), row.label


def _method(line: _Line) -> str:
    return line.row.label + (" (ours)" if line.row.ours_only else "")


def _variant(line: _Line) -> str:
    return line.row.variant_name.text


def _published(line: _Line) -> str:
    # Where nothing is published of most rows, to say so in each hides the others.
    return "-" if line.row.published is None else line.row.published_text


def _known(line: _Line) -> str:
    if line.known is not None:
        return figure_text(line.known.mean)
    return NOT_AT_HAND if line.row.baseline and line.protocol else "-"


def _settings(line: _Line) -> str:
    row = line.row
    if row.ours_only:
        return f"of {row.experiment}"
    return str(row.settings) + (", untuned" if row.baseline and row.settings.origin != "tuned" else "")


def _stored(line: _Line) -> str:
    return "yes" if line.row.stored_examples else "no"


def _seeds(line: _Line) -> str:
    seeds = line.row.seeds
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "-"


def _further(line: _Line) -> str:
    further = line.row.further
    return f"{figure_text(further['mean'], further['sd'])} (n {further['n']})" if further["n"] else "-"


def _bounds(line: _Line) -> str:
    bounds = line.row.bounds
    if bounds == (None, None):
        return "-"
    return " to ".join("?" if bound is None else f"{bound:.1f}" for bound in bounds)


def _validation(line: _Line) -> str:
    return figure_text(line.row.settings.validation)


_Columns = dict[str, Callable[[_Line], str]]
_MAIN: _Columns = {
    "experiment": lambda line: line.row.experiment,
    "variant": _variant,
    "method": _method,
    "published (%)": _published,
    "ours (%)": lambda line: line.row.ours_text,
    "n": lambda line: line.row.n_text,
    "difference (points)": lambda line: line.row.difference_text,
    "verdict": lambda line: line.row.verdict,
    "elsewhere (%)": _known,
    "settings": _settings,
    "stored examples": _stored,
}
_DETAILS: _Columns = {
    "experiment": _MAIN["experiment"],
    "variant": _variant,
    "method": _method,
    "settings": _settings,
    "seeds": _seeds,
    "further seeds (%)": _further,
    "validation (%)": _validation,
    "bounds (%)": _bounds,
    "time (s a run)": lambda line: f"{line.row.seconds:.0f}",
}
# Columns that a table of one experiment, or without a published figure, can do without.
_OPTIONAL = {"published (%)", "difference (points)", "verdict", "elsewhere (%)", "further seeds (%)", "validation (%)"}


def _columns(columns: _Columns, lines: Sequence[_Line]) -> _Columns:
    """The columns that say anything in these lines."""
    chosen = {}
    for name, cell in columns.items():
        # Homeostatic sleep beside a paper's rows is of another experiment, which its settings name.
        own = {cell(line) for line in lines if not line.row.ours_only}
        if name in _OPTIONAL and {cell(line) for line in lines} <= {"-", OURS}:
            continue
        if (name == "experiment" and len(own) == 1) or (name == "variant" and own == {"default"}):
            continue
        chosen[name] = cell
    strategies = {line.row.label for line in lines}
    if strategies == {"sequential"} and "variant" in chosen:
        del chosen["method"]
    return chosen


def _lines_of(rows: Sequence[ResultRow], added: Sequence[ResultRow]) -> list[_Line]:
    lines = []
    for row in (*rows, *added):
        _, known = known_figures(row.experiment)
        figure = known.get(row.strategy) if not row.read_out else None
        lines.append(_Line(row, figure, bool(known) and not row.read_out))
    return lines


def _sources(lines: Sequence[_Line]) -> list[str]:
    """Where published figures and those from elsewhere come from; the methods are named where there are several."""
    published: dict[str, dict[str, None]] = {}
    elsewhere: dict[str, dict[str, None]] = {}
    for line in lines:
        if line.row.figure is not None:
            published.setdefault(line.row.figure.source, {})[line.row.label] = None
        if line.known is not None:
            elsewhere.setdefault(line.known.source, {})[line.row.label] = None
    sentences = []
    if published:
        sentences.append(f"Published: {_named(published)}.")
    if elsewhere:
        protocol = next(text for line in lines if (text := known_figures(line.row.experiment)[0]))
        sentences.append(f"Elsewhere: {protocol}; {_named(elsewhere)}.")
    elif any(line.row.baseline for line in lines):
        sentences.append("Figures of the baselines in this protocol from elsewhere: not at hand.")
    return sentences


def _named(sources: dict[str, dict[str, None]]) -> str:
    if len(sources) == 1:
        return with_links(next(iter(sources)))
    return "; ".join(f"{with_links(source)} ({', '.join(names)})" for source, names in sources.items())


def _caption(lines: Sequence[_Line]) -> str:
    split = "/".join(sorted({part for line in lines for part in line.row.split.split("/")}))
    data = "; ".join(sorted({line.row.data for line in lines}))
    bounds = {_bounds(line) for line in lines if not line.row.ours_only} - {"-"}
    sentences = [f"Data: {plain_text(data)}, {split} split."]
    if len(bounds) == 1 and "?" not in (both := bounds.pop()):
        sentences.append(f"Bounds: {both} %, sequential to joint training.")
    return " ".join(sentences + _sources(lines))


def table_lines(rows: Sequence[ResultRow], added: Sequence[ResultRow] = ()) -> list[str]:
    """The table of these rows with its caption, notes and folded details; ``added`` rows end it."""
    experiments = list(dict.fromkeys(row.experiment for row in rows))
    ordered = sorted(
        rows,
        key=lambda row: (
            experiments.index(row.experiment),
            variant_order(row.experiment, row.variant)[:3],
            method_order(row),
            row.variant,
        ),
    )
    lines = _lines_of(ordered, added)
    main, details = _columns(_MAIN, lines), _columns(_DETAILS, lines)
    text = markdown_table(tuple(main), ([cell(line) for cell in main.values()] for line in lines))
    text += ["", _caption(lines), *_notes(ordered)]
    commands = together(dict.fromkeys(command for row in ordered for command in row.commands))
    text += ["", '<details markdown="1">', "<summary>Seeds, times and commands</summary>", ""]
    text += markdown_table(tuple(details), ([cell(line) for cell in details.values()] for line in lines))
    return [*text, "", *(f"    {shown(command)}" for command in commands), "", "</details>"]


def _notes(rows: Sequence[ResultRow]) -> list[str]:
    """What the experiments' files say of figures, such as what was tried where a published one was not reached."""
    several = len({row.experiment for row in rows}) > 1
    notes: dict[str, str] = {}
    for row in rows:
        if row.note:
            name = ", ".join(part for part in (row.experiment if several else "", row.variant, row.strategy) if part)
            notes[name.replace("default, ", "")] = row.note
    if not notes:
        return []
    text = ["", '<details markdown="1">', "<summary>Notes: what was tried</summary>", ""]
    for name, note in notes.items():
        text += [f"*{plain_text(name)}*: {note}", ""]
    return [*text, "</details>"]
