"""The report of small run folders: what it says, that it needs nothing else, and that it survives broken runs."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup
from matplotlib.image import imread
from safetensors.numpy import save_file

from neurosleep import analysis, plot
from neurosleep.errors import RunFolderError
from neurosleep.experiments import apply_changes, load_settings
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.report import images as _images
from neurosleep.experiments.report import page as _page
from neurosleep.experiments.report import write_animations, write_report, write_run_figures
from neurosleep.experiments.report import zoom as _zoom
from neurosleep.experiments.report.figures import FIGURES
from neurosleep.experiments.report.images import SMALLEST_IMAGE, as_csv
from neurosleep.experiments.report.learnt import LEARNT
from neurosleep.experiments.report.numbers import DASH
from neurosleep.experiments.report.paired import _holm, told_p
from neurosleep.experiments.report.read import Run, read_run
from neurosleep.experiments.report.run_figure import RunFigure
from neurosleep.experiments.report.terms import terms_in
from neurosleep.functional import SpikeEvents
from neurosleep.networks import MLP
from neurosleep.spiking import Recording
from tests.plot.test_room import outside

MakeRun = Callable[..., Path]


def save_spikes(folder: Path, spikes: dict[str, SpikeEvents], task: int = 11) -> None:
    """What a run leaves of a sleep that was recorded."""
    steps = max((events.steps for events in spikes.values()), default=0)
    recording = Recording(steps=steps, dt=0.002, counts={}, spikes=spikes)
    recording.to_npz(folder / "spikes" / f"task{task}.npz")


class Page(HTMLParser):
    """What a reader meets: the text, the images, the references, the table headers."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open or "script" in self.open:
            return
        # A place where a line may end parts no word.
        if self.tags and self.tags[-1][0] == "wbr" and self.words:
            self.words[-1] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def images(self) -> list[str]:
        """The kinds of the pictures, all of which can be read and have words that stand for them."""
        kinds = []
        for image in self.all("img"):
            kind, data = (image["src"] or "").split(",", 1)
            content = base64.b64decode(data, validate=True)
            if kind == "data:image/png;base64":
                assert np.asarray(imread(io.BytesIO(content))).size
            else:
                assert kind == "data:image/svg+xml;base64" and ElementTree.fromstring(content).tag.endswith("svg")
            assert image["alt"]
            kinds.append(kind)
        return kinds

    def json(self) -> list[dict[str, Any]]:
        """The spikes for the rasters that can be zoomed."""
        found = re.findall(r'<script type="application/json" class="spikes">(.*?)</script>', self.source)
        return [json.loads(text) for text in found]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run folder of two tasks, as the runner writes it; ``change`` overrides keys of metrics.json."""

    def make(
        strategy: str = "src",
        seed: int = 0,
        accuracy: float | None = 0.5,
        *,
        experiment: str = "src2022/mnist",
        **change: Any,
    ) -> Path:
        folder = tmp_path / "out" / experiment / str(change.get("variant", "default")) / strategy / f"seed{seed}"
        folder.mkdir(parents=True)
        last = [0.4, 0.6]
        metrics: dict[str, Any] = {
            "experiment": experiment,
            "variant": "default",
            "strategy": strategy,
            "seed": seed,
            "kind": "class-incremental",
            "split": "test",
            "status": "done",
            "results": {},
            "seconds": {"train": 2.0, "sleep": 1.0, "evaluate": 0.5, "total": 3.5},
            "accuracy_all": accuracy,
            "accuracy_per_task": last,
            "accuracy_matrix": [[0.9, 0.0], last],
            "accuracy_before_sleep": [[0.95, 0.0], [0.1, 0.9]],
            "forgetting_max_minus_last": 0.5,
            "forgetting_first_minus_last": 0.45,
            "bwt": -0.5,
            "sleep": {"steps": [100, 100], "spikes_per_step": [[1.0, 0.5]] * 2, "populations": ["input", "hidden"]},
        } | change
        (folder / "metrics.json").write_text(json.dumps(metrics))
        lines = ["after_task,phase,on_task,accuracy"]
        for phase, key in (("wake", "accuracy_before_sleep"), ("sleep", "accuracy_matrix")):
            for after, row in enumerate(metrics[key] or [], start=1):
                lines += [f"{after},{phase},{on},{value}" for on, value in enumerate(row, start=1)]
        (folder / "accuracy.csv").write_text("\n".join(lines) + "\n")
        (folder / "firing.csv").write_text(
            "after_task,population,neurons,start_step,steps,spikes\n1,input,4,0,50,10\n1,input,4,50,50,6\n2,input,4,0,50,8\n"
        )
        for task in (2, 10):
            spikes = {"hidden": SpikeEvents.empty(2, 100), "input": SpikeEvents.from_dense(np.eye(100, 4))}
            save_spikes(folder, spikes, task)
        (folder / "config.toml").write_text('[data]\nname = "mnist"  # <b>not bold</b>\n')
        environment = {
            "versions": {"torch": "2.6", "numpy": "2.0"},
            "device": "cpu",
            "threads": 2,
            "commit": "abc123",
            "command": f"neurosleep run {experiment} --strategy {strategy} --seed {seed}",
            "dt": 0.002,
        }
        (folder / "environment.json").write_text(json.dumps(environment))
        return folder

    return make


@pytest.fixture
def words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures, which are soon made."""
    monkeypatch.setattr(_page, "IMAGE_BYTES", 0)


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the figures of a run, the raster alone."""
    monkeypatch.setattr(_page, "FIGURES", FIGURES[2:3])


def many(make_run: MakeRun) -> None:
    for seed, (slept, without) in enumerate([(0.43, 0.19), (0.471, 0.192), (0.512, 0.191)]):
        make_run("src", seed, slept)
        make_run("sequential", seed, without, accuracy_before_sleep=None, sleep=None)


@pytest.mark.usefixtures("words_only")
def test_the_verdict_is_computed_from_the_numbers(tmp_path: Path, make_run: MakeRun) -> None:
    many(make_run)
    path = write_report(tmp_path / "out")
    assert path == tmp_path / "out" / "report.html"
    page = Page(path)
    assert "src ends at 47.1 ± 4.1 % (n = 3), 28 points above sequential." in page.text
    assert "sequential ends at 19.1 ± 0.1 % (n = 3)." in page.text
    assert "src2022/mnist · default" in page.text and "6 runs: 6 done." in page.text
    assert page.text.index("src ends") < page.text.index("sequential ends")


def test_the_page_needs_nothing_else_and_can_be_read_by_all(tmp_path: Path, make_run: MakeRun) -> None:
    many(make_run)
    path = write_report(tmp_path / "out")
    page = Page(path)
    assert not re.search(r"https?:|//\w|url\(|@import", page.source.split("base64,")[0])
    assert not re.search(r"https?://", page.source)
    for tag in ("link", "iframe", "object"):
        assert not page.all(tag)
    # Its own script, which the policy knows by its content, and the spikes that it reads.
    kinds = [(script.get("type"), script.get("class")) for script in page.all("script")]
    assert kinds[-1] == (None, None) and kinds.count(("application/json", "spikes")) == 2
    assert set(kinds[:-1]) == {("application/json", "spikes"), ("application/json", "points")}
    script = page.source.rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.source
    # Links lead to places of the page, to tables inside it, or to files of the runs, which lie beside it.
    links = [str(link["href"]) for link in page.all("a")]
    assert all(link.startswith(("#", "data:text/csv;base64,")) for link in links)
    tables = [base64.b64decode(link.split(",")[1]).decode() for link in links if link.startswith("data:")]
    assert tables[0].splitlines()[:2] == [
        "strategy,mean,sd,n,diverged",
        "src,0.47100000000000003,0.04100000000000001,3,0",
    ]
    assert page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == 1
    assert page.all("th") and all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    assert len(page.images()) == len(page.all("img")) and path.stat().st_size < 5_000_000
    assert "missing" not in [section["id"] for section in page.all("section")]
    # Two that compare, five figures of the first seed of each strategy, one of each other run.
    assert len(page.images()) == 2 + 2 * 5 + 4 * 1
    assert list(path.parent.glob(".*")) == []


def test_a_run_is_told_in_full(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(results={"spikes": 1234.5, "undefined": None, "accuracy_all": 0.5})
    page = Page(write_report(run))
    assert page.source == Page(write_report(run)).source
    # It has a column of its own.
    assert "accuracy_all" not in page.text
    assert len(page.images()) == 7
    for words in (
        "neurosleep run src2022/mnist --strategy src --seed 0",
        'name = "mnist" # <b>not bold</b>',
        "torch 2.6 numpy 2.0",
        "abc123",
        "40.0 60.0",
        "−50.0 %",
        "One seed each",
        "the sleep after task 10",
        "spikes",
        "1234",
    ):
        assert words in page.text
    assert not page.all("b")
    assert "Accuracy on each task after every phase; shaded: after sleep." in page.text
    alts = " ".join(image["alt"] or "" for image in page.all("img"))
    assert "2 tasks through 4 phases; it ends at 50.0 %" in alts and "4 spikes of input, hidden in 100 steps" in alts


@pytest.mark.usefixtures("words_only")
@pytest.mark.parametrize("level", ["out", "out/src2022", "out/src2022/mnist/default", "out/src2022/mnist/default/src"])
def test_any_level_of_the_tree_can_be_given(tmp_path: Path, make_run: MakeRun, level: str) -> None:
    make_run()
    page = Page(write_report(tmp_path / level))
    assert "src2022/mnist · default src ends at 50.0 % (n = 1)." in page.text


@pytest.mark.usefixtures("words_only")
def test_experiments_variants_and_splits_are_never_mixed(tmp_path: Path, make_run: MakeRun) -> None:
    make_run("src", 0, 0.2)
    make_run("src", 0, 0.4, variant="steps=9")
    make_run("src", 1, 0.6, split="validation")
    make_run("src", 0, 0.8, experiment="other")
    page = Page(write_report(tmp_path / "out"))
    assert [title.strip() for title in page.words if " · " in title][:4] == [
        "other · default",
        "src2022/mnist · default",
        "src2022/mnist · default · validation split",
        "src2022/mnist · steps=9",
    ]
    for number in ("20.0", "40.0", "60.0", "80.0"):
        assert f"src ends at {number} % (n = 1)" in page.text


@pytest.mark.usefixtures("words_only")
def test_small_gaps_are_called_small(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, (a, b, c) in enumerate([(0.30, 0.31, 0.30), (0.40, 0.37, 0.40)]):
        make_run("src", seed, a)
        make_run("sequential", seed, b)
        make_run("ewc", seed, c - 0.01)
    page = Page(write_report(tmp_path / "out"))
    assert (
        "src ends at 35.0 ± 7.1 % (n = 2), 1.0 point above sequential (less than the spread between seeds)."
        in page.text
    )
    assert "ewc ends at 34.0 ± 7.1 % (n = 2), level with sequential." in page.text


@pytest.mark.usefixtures("words_only")
def test_a_diverged_run_says_where_and_what_to_try(tmp_path: Path, make_run: MakeRun) -> None:
    where = {"task": 2, "phase": "sleep", "epoch": None, "step": 3000, "layer": "input -> hidden1"}
    where |= {"quantity": "largest weight", "value": 2.5e6, "hint": "lower sleep.rule.inc"}
    make_run("src", 0, None, status="diverged", divergence=where)
    make_run("ewc", 0, None, status="diverged", divergence="<odd>", sleep={"divergence": [1]})
    text = Page(write_report(tmp_path / "out")).text
    told = "Diverged in task 2, sleep, step 3,000: largest weight of input -> hidden1 2.5e+06. "
    told += "Try: lower sleep.rule.inc."
    assert f"src has no result. {told}" in text and f"not counted in the means. {told}" in text
    assert "ewc has no result. " in text and "2 runs diverged and are not counted in the means." in text


def test_files_of_a_run_are_linked_from_the_page(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run()
    write_run_figures(run)
    for folder in (tmp_path / "out", run):
        page = Page(write_report(folder))
        links = [unquote(str(link["href"])) for link in page.all("a")]
        files = [folder / link for link in links if not link.startswith(("#", "data:"))]
        assert {file.name for file in files} >= {"accuracy.csv", "raster.csv", "rates.csv"}
        assert all(file.is_file() for file in files)


def test_what_was_learnt_is_drawn(tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_page, "FIGURES", LEARNT)
    run = make_run()
    (run / "training.csv").write_text("task,epoch,loss,accuracy\n1,1,0.5,0.25\n1,2,,0.75\n1,x,1,1\n1,3,inf,1\n")
    (run / "confusion.csv").write_text("class,answer,images\n0,0,3\n0,1,1\n1,1,2\n1,-1,2\n")
    table = analysis.weight_histogram(MLP([4, 3, 2]), MLP([4, 3, 2]), bins=5)
    (run / "analysis").mkdir()
    table.to_csv(run / "analysis" / "weight_histogram.csv")
    page = Page(write_report(tmp_path / "out"))
    alts = " ".join(str(image["alt"]) for image in page.all("img"))
    assert "accuracy by class: 0: 75.0 %, 1: 100.0 %." in alts
    assert "in training, over 2 epochs; at the end 75.0 % of the training images are right." in alts
    assert "weights into hidden1, output of src, seed 0 before and after the last sleep phase" in alts
    assert "training.csv: 2 of 4 rows make no sense" in page.text and "confusion.csv: 1 of 4 rows" in page.text
    (run / "analysis" / "weight_histogram.csv").write_text("layer,quantity,low\nhidden1,before,x\n")
    assert "Histograms" not in " ".join(str(i["alt"]) for i in Page(write_report(tmp_path / "out")).all("img"))


def test_the_words_of_a_page_are_explained_on_it_and_no_others(tmp_path: Path, make_run: MakeRun) -> None:
    make_run("ewc+src")
    page = Page(write_report(tmp_path / "out"))
    section = page.source.split('id="terms"')[1].split("</section>")[0]
    explained = re.findall(r"<dt>(.*?)</dt>", section)
    assert {"ewc", "src", "raster", "sleep phase", "accuracy, average"} <= set(explained)
    assert explained == sorted(explained, key=str.lower) and not {"owm", "guard", "NREM, REM"} & set(explained)
    # A word is looked for in what a reader sees, and in the texts of pictures, not in the page's markup.
    assert terms_in(['<p class="hypnogram">x</p>'], ["mine"]) == []
    assert [word for word, _ in terms_in(['<img src="" alt="Hypnogram of NREM">'], [])] == ["hypnogram", "NREM, REM"]


def test_the_texts_of_a_run_stay_within_its_figures(make_run: MakeRun) -> None:
    run = make_run()
    rows = [f"{task},{epoch},0.5,0.5" for task in range(1, 21) for epoch in range(1, 6)]
    (run / "training.csv").write_text("\n".join(["task,epoch,loss,accuracy", *rows]) + "\n")
    pairs = [f"{k},{j},{1 + k}" for k in range(10) for j in range(10)]
    (run / "confusion.csv").write_text("\n".join(["class,answer,images", *pairs]) + "\n")
    (run / "analysis").mkdir()
    table = analysis.weight_histogram(MLP([4, 3, 3, 2]), MLP([4, 3, 3, 2]), bins=5)
    table.to_csv(run / "analysis" / "weight_histogram.csv")
    read = read_run(run, run)
    drawn = [figure for figure in FIGURES if figure.there(read)]
    assert {"training", "confusion", "weights", "rates", "raster"} <= {figure.name for figure in drawn}
    for figure in drawn:
        fig = plot.figure(4.8, figure.height)
        figure.draw(read, fig)
        assert outside(fig) == [], figure.name


def test_the_rule_of_a_run_without_a_result_is_not_drawn(tmp_path: Path, make_run: MakeRun) -> None:
    rule = '[sleep.rule]\nname = "src"\ninc = 0.01\ndec = 0.001\n'
    (make_run("src", 0, None, status="diverged") / "config.toml").write_text(rule)
    assert "plasticity rule" not in Page(write_report(tmp_path / "out")).text
    (make_run("src", 1) / "config.toml").write_text(rule)
    assert "plasticity rule" in Page(write_report(tmp_path / "out")).text


def test_few_intervals_make_no_distribution(make_run: MakeRun) -> None:
    run = make_run()
    figure = next(figure for figure in FIGURES if figure.name == "intervals")
    assert not figure.there(read_run(run, run))
    often = SpikeEvents.from_dense(np.ones((60, 1)))
    save_spikes(run, {"often": often, "rarely": SpikeEvents.from_dense(np.eye(60, 4))})
    read = read_run(run, run)
    assert figure.there(read) and {row["population"] for row in figure.table(read)[1]} == {"often"}


@pytest.mark.usefixtures("words_only")
def test_a_silent_sleep_is_called_silent(tmp_path: Path, make_run: MakeRun) -> None:
    def sleep(*rates: list[float]) -> dict[str, Any]:
        return {"steps": [100] * len(rates), "spikes_per_step": list(rates), "populations": ["input", "h1", "h2"]}

    make_run("src", 0, 0.5, sleep=sleep([9, 0, 0], [9, 0, 0]))
    make_run("sleep", 0, 0.5, sleep=sleep([9, 1, 0], [9, 0, 0], [9, 2, 0]))
    make_run("ewc+src", 0, 0.5, sleep=sleep([9, 1, 0], [9, 3, 0]))
    make_run("owm", 0, 0.5, sleep=sleep([9, 1, 1]))
    text = Page(write_report(tmp_path / "out")).text
    sentences = dict(re.findall(r"(\S+) ends at 50\.0 % \(n = 1\)\.(.*?)(?= \S+ ends at| One seed)", text))
    assert "Silent: in every sleep phase no unit behind the input fired, so that nothing was" in sentences["src"]
    assert "Silent: in 1 of 3 sleep phases no unit behind the input fired" in sentences["sleep"]
    assert "Silent in sleep: no unit of h2 ever fired." in sentences["ewc+src"] and "Silent" not in sentences["owm"]


@pytest.mark.usefixtures("words_only")
def test_firing_that_is_soon_over_is_said(tmp_path: Path, make_run: MakeRun) -> None:
    def firing(*spikes: int) -> str:
        rows = [
            f"2,{p},4,{250 * k},250,{n}" for p, ns in (("input", [99] * 8), ("h", spikes)) for k, n in enumerate(ns)
        ]
        return "\n".join(["after_task,population,neurons,start_step,steps,spikes", "1,h,4,0,250,1", *rows]) + "\n"

    # A step lasts 2 ms, a window half a second.
    (make_run("src", 0, 0.5) / "firing.csv").write_text(firing(93, 5, 2, 0, 0, 0, 0, 0))
    (make_run("ewc+src", 0, 0.5) / "firing.csv").write_text(firing(20, 20, 20, 20, 20, 20, 20, 20))
    (make_run("owm", 0, 0.5) / "firing.csv").write_text(firing(93))
    text = Page(write_report(tmp_path / "out")).text
    told = "93 % of the spikes of the last sleep phase come in the first 0.5 s of 4 s; after that the network is nearly"
    assert text.count(told) == text.count("spikes of the last sleep phase") == 1 and "src ends at" in text


@pytest.mark.usefixtures("few_figures")
def test_variants_that_differ_in_one_number_are_a_sweep_whatever_they_are_called(
    tmp_path: Path, make_run: MakeRun
) -> None:
    for k, steps in enumerate((30000, 10000, 20000)):
        run = make_run("src", 0, 0.3 + k / 10, variant=f"v{k}")
        (run / "config.toml").write_text(f'record = "all"\n[sleep]\nsteps = {steps}\n')
    for k in (0, 1, 2):
        (make_run("src", 0, 0.3, experiment="own", variant=f"v{k}") / "config.toml").write_text(
            f"[a]\nb = {k}\nc = {k}"
        )
    page = Page(write_report(tmp_path / "out"))
    assert "src2022/mnist: sweep over sleep.steps" in page.text and "own: sweep" not in page.text
    # The figure first, then one table; the points are folded, and each is told in a section of none but the sweep.
    assert page.text.index("30000 1 30.0 %") < page.text.index("Points")
    assert "sleep.steps from 10000 to 30000 (3 points)" in page.text and "10,000" in page.text
    assert [d.get("class") for d in page.all("details") if str(d.get("id")).startswith("group-")] == ["run"] * 3
    assert len([s for s in page.all("section") if str(s["id"]).startswith("group-")]) == 3


@pytest.mark.usefixtures("words_only")
def test_what_sleep_phases_say_of_themselves_is_told(tmp_path: Path, make_run: MakeRun) -> None:
    sleep = {"steps": [100], "spikes_per_step": [[9, 1]], "populations": ["input", "h"]}
    make_run("src", 0, sleep=sleep | {"notes": ["after task 2: it changed 6.3 % of the answers.", 7]})
    make_run("src", 1, sleep=sleep | {"notes": "odd"})
    page = Page(write_report(tmp_path / "out"))
    assert "Sleep after task 2: it changed 6.3 % of the answers. (src2022/mnist/default/src/seed0)" in page.text
    assert "missing" in [section["id"] for section in page.all("section")] and "odd" not in page.text


@pytest.mark.usefixtures("words_only")
def test_the_head_says_when_with_what_and_how_long(tmp_path: Path, make_run: MakeRun) -> None:
    for seed in (0, 1):
        run = make_run("src", seed)
        environment = {"versions": {"neurosleep": "0.1.0"}, "machine": "x86_64", "device": "cpu"}
        (run / "environment.json").write_text(json.dumps(environment))
        os.utime(run / "metrics.json", (1.7e9, 1.7e9))
    text = Page(write_report(tmp_path / "out")).text
    assert "2 runs: 2 done. Files of 2023-11-14; neurosleep 0.1.0; x86_64, cpu; 7 s in all." in text


@pytest.mark.usefixtures("words_only")
def test_named_accuracies_are_percent_and_what_src_reads_is_explained(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run("src", 0, results={"accuracy_all_nearest_mean": 0.7446}, reads_old_data=True)
    (run / "config.toml").write_text('[sleep]\nscale_data = "seen"\n')
    text = Page(write_report(tmp_path / "out")).text
    assert "accuracy all nearest mean 74.5 %" in text and "0.7446" not in text
    assert "src uses stored examples for one thing only" in text


@pytest.mark.usefixtures("words_only")
def test_strategies_are_tested_on_equal_seeds(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, (src, ewc) in enumerate([(0.60, 0.41), (0.58, 0.36), (0.63, 0.47)]):
        make_run("src", seed, src)
        make_run("ewc", seed, ewc)
        make_run("owm", seed + 2, 0.1)
    page = Page(write_report(tmp_path / "out"))
    assert "Do the strategies differ? Paired tests on equal seeds" in page.text
    # The pair that shares one seed alone is not tested.
    assert "src - ewc 3 +19.0 0.0082 0.0082" in page.text and "owm - " not in page.text and " - owm" not in page.text
    assert _holm([0.01, math.nan, 0.04, 0.03]) == pytest.approx([0.03, math.nan, 0.06, 0.06], nan_ok=True)
    assert [told_p(p) for p in (1e-9, 0.0123, math.nan)] == ["< 0.001", "0.012", DASH]


@pytest.mark.usefixtures("words_only")
def test_published_figures_and_reported_seeds_stand_apart(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, accuracy in ((0, 0.4), (1, 0.42), (10, 0.9), (11, 0.7)):
        make_run("src", seed, accuracy)
    make_run("sequential", 0, 0.2, accuracy_before_sleep=None, sleep=None)
    make_run("joint", 0, 0.97)
    make_run("joint-matched", 0, 0.9)
    make_run("rehearsal", 100, 0.5)
    text = Page(write_report(tmp_path / "out")).text
    assert "src ends at 41.0 ± 1.4 % (n = 2), 21 points above sequential." in text
    assert "Published: 48.5 ± 5.0 %. Further seeds: 80.0 ± 14.1 %." in text
    assert "joint ends at 97.0 % (n = 1), 77 points above sequential. Published: 98.0 %." in text
    # Where no seed is a reported one, all count.
    assert "rehearsal ends at 50.0 % (n = 1)" in text
    assert "rehearsal closes 39 % of the gap between sequential and joint, the largest share." in text
    assert "41.0 ± 1.4 % 48.5 ± 5.0 % 80.0 ± 14.1 %" in text


@pytest.mark.usefixtures("words_only")
def test_other_data_and_splits_have_no_published_figure(tmp_path: Path, make_run: MakeRun) -> None:
    make_run("src", 0, variant="data.images_per_task=100")
    make_run("src", 1, experiment="my-own")
    make_run("src", 2, split="validation")
    assert "Published" not in Page(write_report(tmp_path / "out")).text


@pytest.mark.usefixtures("few_figures")
def test_runs_that_failed_are_said_and_not_counted(tmp_path: Path, make_run: MakeRun) -> None:
    make_run("src", 0, 0.5)
    make_run("src", 1, None, status="diverged", accuracy_matrix=[[None, 0.0]], bwt=None, sleep=None)
    (make_run("src", 2) / "metrics.json").unlink()
    (make_run("src", 3) / "metrics.json").write_text('{"status": "do')
    (make_run("src", 4) / "metrics.json").write_text("[1]")
    nan = make_run("src", 5)
    (nan / "metrics.json").write_text(
        (nan / "metrics.json").read_text().replace('"accuracy_all": 0.5', '"accuracy_all": NaN')
    )
    make_run("src", 6, 0.9, status="running")
    make_run("ewc", 0, None)
    page = Page(write_report(tmp_path / "out"))
    assert "src ends at 50.0 % (n = 1)." in page.text and "ewc has no result." in page.text
    assert "1 run diverged and is not counted in the means." in page.text
    assert "2 runs cannot be read and are not counted." in page.text
    assert (
        "1 run unfinished and is not counted" not in page.text and "1 run is unfinished and not counted." in page.text
    )
    assert "metrics.json cannot be read" in page.text and "it holds no named values" in page.text
    assert "Its accuracy over all classes is undefined." in page.text
    assert "nan" not in page.text.lower().replace("unfinished", "") and "None" not in page.text
    assert page.images()


@pytest.mark.usefixtures("words_only")
def test_missing_and_broken_files_are_said(tmp_path: Path, make_run: MakeRun) -> None:
    bare = make_run("src", 0)
    for name in ("accuracy.csv", "firing.csv", "config.toml", "environment.json"):
        (bare / name).unlink()
    for file in (bare / "spikes").iterdir():
        file.unlink()
    broken = make_run("src", 1)
    (broken / "accuracy.csv").write_text(
        "after_task,phase,on_task,accuracy\n1,wake,1,0.5\n1,noon,1,0.5\nx,wake,1,0.5\n1,wake\n"
    )
    (broken / "firing.csv").write_text("after_task,population,neurons,start_step,steps,spikes\n1,input,0,0,50,10\n")
    (broken / "environment.json").write_text("{")
    (broken / "spikes" / "task11.npz").write_bytes(b"PK no archive")
    misfit = make_run("src", 2)
    save_spikes(misfit, {"a": SpikeEvents.from_dense(np.eye(2))})
    with np.load(misfit / "spikes" / "task11.npz") as file:
        arrays = {name: file[name] for name in file} | {"offsets@a": np.array([0, 5, 5])}
    np.savez(misfit / "spikes" / "task11.npz", **arrays)
    (misfit / "accuracy.csv").write_text("")
    (misfit / "metrics.json").write_text(
        json.dumps({"status": "done", "accuracy_all": 10**400, "seconds": 3, "results": []})
    )
    page = Page(write_report(tmp_path / "out"))
    for words in (
        "accuracy.csv is missing; its figure is drawn from metrics.json.",
        "config.toml is missing",
        "environment.json is missing",
        "accuracy.csv: 3 of 4 rows make no sense",
        "firing.csv: 1 of 1 rows make no sense",
        "environment.json cannot be read",
        "spikes/task11.npz cannot be read",
        "the spikes of 'a' are none",
        "accuracy.csv is empty",
    ):
        assert words in page.text
    # What metrics.json does not say stands in the path.
    assert "src2022/mnist · default src ends" in page.text and "src, seed 2" in page.text


@pytest.mark.usefixtures("words_only")
def test_runs_without_classes_show_their_named_numbers(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, value in enumerate((0.9, 0.7)):
        folder = make_run("quantised", seed, kind="hardware", results={"energy_j": value, "b": 1, "c": 2, "d": 3})
        metrics = json.loads((folder / "metrics.json").read_text())
        keep = ("experiment", "variant", "strategy", "seed", "kind", "split", "status", "results", "seconds")
        (folder / "metrics.json").write_text(json.dumps({key: metrics[key] for key in keep}))
        (folder / "accuracy.csv").unlink()
    page = Page(write_report(tmp_path / "out"))
    assert (
        "quantised ends with energy_j 0.8 ± 0.1414 (n = 2), b 1 ± 0 (n = 2), c 2 ± 0 (n = 2) and 1 more." in page.text
    )
    assert "accuracy.csv is missing" not in page.text


def test_the_raster_carries_its_spikes(tmp_path: Path, make_run: MakeRun) -> None:
    make_run()
    (content,) = Page(write_report(tmp_path / "out")).json()
    assert (content["dt"], content["steps"], content["of"]) == (0.002, 100, 100)
    populations = {part["name"]: part for part in content["populations"]}
    assert list(populations) == ["input", "hidden"]

    def numbers(name: str, key: str) -> list[int]:
        return np.frombuffer(base64.b64decode(populations[name][key]), dtype="<u2").tolist()

    # One spike in each of the first four steps, of one neuron after another.
    assert numbers("input", "counts") == [1] * 4 + [0] * 96 and numbers("input", "neurons") == [0, 1, 2, 3]
    assert numbers("hidden", "counts") == [0] * 100 and numbers("hidden", "neurons") == []


@pytest.mark.usefixtures("few_figures")
def test_of_a_long_sleep_the_page_carries_the_beginning(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    wide = SpikeEvents.from_times(np.arange(0, 90), np.full(90, 69_999), steps=90, n=70_000)
    save_spikes(run, {"</script>": wide})
    monkeypatch.setattr(_zoom, "MOST_SPIKES", 40)
    page = Page(write_report(tmp_path / "out"))
    (content,) = page.json()
    (part,) = content["populations"]
    assert (content["steps"], content["of"], part["name"], part["wide"]) == (40, 90, "</script>", True)
    assert np.frombuffer(base64.b64decode(part["neurons"]), dtype="<u4").tolist() == [69_999] * 40
    # Without any spike there is nothing to zoom into.
    silent = SpikeEvents.empty(3, 100)
    save_spikes(run, {"a": silent})
    page = Page(write_report(tmp_path / "out"))
    assert page.json() == [] and "0 spikes of a in 100 steps" in " ".join(
        image["alt"] or "" for image in page.all("img")
    )


@pytest.mark.usefixtures("few_figures")
def test_the_verdict_says_what_the_sleep_did_and_how_far_it_goes(tmp_path: Path, make_run: MakeRun) -> None:
    for seed in (0, 1):
        results = {"accuracy_all": 0.5, "accuracy_all_before_last_sleep": 0.3}
        make_run("src", seed, 0.5, results=results, accuracy_of_a_guess=0.11, reads_old_data=True)
        make_run("sequential", seed, 0.1, sleep=None, accuracy_of_a_guess=0.11, reads_old_data=False)
        make_run("joint", seed, 0.9, sleep=None, accuracy_matrix=[[0.9, 0.9]], accuracy_before_sleep=None)
    page = Page(write_report(tmp_path / "out"))
    assert "40 points above sequential. Its last sleep raised the accuracy by 20 points." in page.text
    assert "sequential ends at 10.0 ± 0.0 % (n = 2). That is no better than always naming the most" in page.text
    assert "src closes 50 % of the gap between sequential and joint." in page.text
    assert "Uses stored examples" in page.text and " yes " in page.text
    alts = [str(image["alt"]) for image in page.all("img")]
    # The mean of the first task after the first, of both after the second.
    assert any("tasks learnt so far, after each task: joint ends at 90.0 %, src ends at 50.0 %" in alt for alt in alts)


@pytest.mark.usefixtures("words_only")
def test_settings_environment_and_commands_stand_once(tmp_path: Path, make_run: MakeRun) -> None:
    for seed in range(3):
        make_run("src", seed)
    other = make_run("ewc", 0)
    (other / "config.toml").write_text("[sleep]\nsteps = 7\n[network]\nsizes = [4, 2]\n")
    page = Page(write_report(tmp_path / "out"))
    assert page.text.count("config.toml of src2022") == 2 and "Versions and machine of all 4 runs" in page.text
    assert "The command of src2022/mnist/default/src/seed0" in page.text.replace("/ ", "/")
    assert "neurosleep report out" in page.text


@pytest.mark.usefixtures("words_only")
def test_changed_settings_are_named_beside_those_shipped(tmp_path: Path, make_run: MakeRun) -> None:
    settings = apply_changes(load_settings("src2022/mnist")[1], [("sleep.steps", 77), ("analyse", True)])
    (make_run() / "config.toml").write_text(dump_toml(settings))
    own = make_run("src", 0, experiment="my-own")
    (own / "config.toml").write_text(dump_toml(settings))
    text = Page(write_report(tmp_path / "out")).text
    assert "analyse True False" in text and "sleep.steps 77 15000" in text
    assert "784-1200-1200-10" in text and "Settings of my-own" not in text


@pytest.mark.usefixtures("words_only")
def test_many_variants_are_told_in_one_table(tmp_path: Path, make_run: MakeRun) -> None:
    for k in range(8):
        make_run("src", 0, k / 10, variant=f"lr={k}")
    page = Page(write_report(tmp_path / "out"))
    first = page.text.index("Accuracy over all classes after the last task: mean")
    assert first < page.text.index("src ends at 70.0 % (n = 1)") and "Experiment and variant" in page.text


@pytest.mark.usefixtures("words_only")
def test_a_sweep_is_told_in_a_sentence_for_each_strategy(tmp_path: Path, make_run: MakeRun) -> None:
    for value, slept in ((1, 0.3), (2, 0.5), (3, 0.2)):
        make_run("src", 0, slept, variant=f"k-{value}")
        make_run("sequential", 0, 0.2, variant=f"k-{value}")
    page = Page(write_report(tmp_path / "out"))
    told = (
        "Over 3 points of k (1 to 3), src ends between 20.0 % (at 3) and 50.0 % (at 2), in the mean at 33.3 %; "
        "above sequential at 2, level with sequential at 1 of them."
    )
    assert told in page.text and page.text.index(told) < page.text.index("src ends at 30.0 %")


def test_what_a_recorded_run_holds_is_drawn_with_its_data(make_run: MakeRun) -> None:
    run = make_run()
    (run / "weights.csv").write_text(
        "after_task,projection,time_s,mean,sd,smallest,largest,change\n"
        "1,input -> hidden,0.0,0,0,0,0,0.0\n2,input -> hidden,0.0,0,0,0,0,0.0\n2,input -> hidden,0.2,0,0,0,0,0.25\n"
    )
    (run / "analysis").mkdir()
    rows = [f"{name},{k},{1 + k % 2}" for name, n in (("hidden", 2), ("input", 4)) for k in range(n)]
    (run / "analysis" / "preferred_task.csv").write_text("\n".join(["population,neuron,task", *rows]) + "\n")
    (run / "resume").mkdir()
    save_file({"weight0": np.arange(12.0).reshape(3, 4)}, run / "resume" / "bundle.safetensors")
    files = {file.name: file for file in write_run_figures(run)}
    names = ("weight_change", "sleep_images", "receptive_fields")
    assert all(f"{name}.{kind}" in files for name in names for kind in ("png", "csv"))

    def table(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(files[f"{name}.csv"].read_text())))

    assert [row["change"] for row in table("weight_change")] == ["0.0", "0.25"]
    assert len(table("sleep_images")) == 8 * 4 and len(table("receptive_fields")) == 3 * 4
    # No neuron fires twice.
    assert "intervals.png" not in files
    page = Page(write_report(run))
    assert "The colour is the task whose images excite the neuron most." in page.text
    (content,) = page.json()
    assert base64.b64decode(content["populations"][0]["tasks"]) == bytes([1, 2, 1, 2])
    assert content["task_colours"][1:] == plot.task_colours(2)
    alts = " ".join(str(image["alt"]) for image in page.all("img"))
    assert "at the end input -> hidden 0.25" in alts and "weights from the pixels" in alts


@pytest.mark.usefixtures("few_figures")
def test_what_does_not_fit_a_recorded_run_is_left_out(make_run: MakeRun) -> None:
    run = make_run()
    (run / "weights.csv").write_text("after_task,projection,time_s,change\n1,,0.0,0\n1,a,-1,0\n1,a,0,\n")
    (run / "analysis").mkdir()
    (run / "analysis" / "preferred_task.csv").write_text("population,neuron,task\nhidden,0,1\ninput,0,x\n")
    (run / "resume").mkdir()
    (run / "resume" / "bundle.safetensors").write_bytes(b"no tensors")
    text = Page(write_report(run)).text
    assert "weights.csv: 2 of 3 rows make no sense" in text and "does not fit the 2 neurons of hidden" in text
    assert "does not fit the 4 neurons of input" in text and "The colour is" not in text
    save_file({"weight0": np.ones((3, 5))}, run / "resume" / "bundle.safetensors")
    assert not any(file.stem == "receptive_fields" for file in write_run_figures(run))


@pytest.mark.usefixtures("few_figures")
def test_the_rule_of_a_run_that_slept_is_drawn(make_run: MakeRun) -> None:
    run = make_run()
    (run / "config.toml").write_text('[sleep.rule]\nname = "stdp"\na_plus = 0.01\na_minus = 0.02\n')
    assert "The plasticity rule stdp" in Page(write_report(run)).text
    (run / "config.toml").write_text('[sleep.rule]\nname = "unheard-of"\n')
    assert "The plasticity rule" not in Page(write_report(run)).text
    (run / "config.toml").write_text("[sleep\n")
    assert "The plasticity rule" not in Page(write_report(run)).text


@pytest.mark.usefixtures("few_figures")
def test_animations_are_written_and_shown(tmp_path: Path, make_run: MakeRun) -> None:
    bare = make_run("src", 0)
    for file in (bare / "spikes").iterdir():
        file.unlink()
    run = make_run("src", 1)
    make_run("src", 2)
    files = write_animations(tmp_path / "out")
    # The first seed that holds spikes stands for its strategy.
    names = ("sleep.gif", "sleep.mp4", "sleep.csv") if shutil.which("ffmpeg") else ("sleep.gif", "sleep.csv")
    assert files == [run / "figures" / name for name in names] and all(file.is_file() for file in files)
    assert files[0].read_bytes().startswith(b"GIF8")
    assert next(csv.DictReader(io.StringIO(files[-1].read_text())))["population"] == "input"
    source = write_report(tmp_path / "out").read_text()
    assert source.count("data:image/gif;base64,") == 1 and "Animation of a sleep phase" in source
    files[0].write_bytes(b"nonsense")
    assert "data:image/gif" not in write_report(tmp_path / "out").read_text()
    with pytest.raises(RunFolderError, match="no run in"):
        write_animations(tmp_path / "out" / "src2022" / "mnist" / "default" / "src" / "seed1" / "figures")


def _events_of(folder: Path, **populations: SpikeEvents) -> None:
    save_spikes(folder, populations)


def _no_step(folder: Path) -> None:
    _events_of(folder, input=SpikeEvents.empty(4), hidden=SpikeEvents.empty(2))


def _no_population(folder: Path) -> None:
    _events_of(folder)


def _one_spike(folder: Path) -> None:
    _events_of(folder, input=SpikeEvents.from_times(np.array([3]), np.array([1]), steps=9, n=4))


def _silence(folder: Path) -> None:
    _events_of(folder, input=SpikeEvents.empty(4, 500), hidden=SpikeEvents.empty(0, 500))


def _undefined(folder: Path) -> None:
    path = folder / "metrics.json"
    path.write_text(re.sub(r"\b0\.\d+", "NaN", path.read_text()))
    text = (folder / "accuracy.csv").read_text()
    (folder / "accuracy.csv").write_text(re.sub(r"0\.\d+", "nan", text))


def _nothing_known(folder: Path) -> None:
    (folder / "metrics.json").write_text("{}")


def _interrupted(folder: Path) -> None:
    """What a run leaves that was ended in its second task."""
    for name in ("metrics.json", "accuracy.csv", "firing.csv"):
        (folder / name).unlink()
    (folder / "resume").mkdir()
    save_file({"weight0": np.ones((3, 4))}, folder / "resume" / "bundle.safetensors")


def _diverged(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics |= {"status": "diverged", "accuracy_all": None, "bwt": None, "accuracy_matrix": [[0.9, 0.0]]}
    metrics["sleep"]["divergence"] = {"step": 1000, "projection": "input -> hidden"}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "weights.csv").write_text("after_task,projection,time_s,change\n2,a,0.0,0\n2,a,0.1,\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_no_step, "Spikes in the first 0 steps"),
        (_no_population, "0 spikes of no population"),
        (_one_spike, "1 spike of input in 9 steps"),
        (_silence, "0 spikes of input, hidden in 500 steps"),
        (_undefined, "src has no result."),
        (_nothing_known, "metrics.json is empty."),
        (_interrupted, "The run has not ended; its numbers are not counted."),
        (_diverged, "not counted in the means. It left its bounds within 1000 steps of a sleep: input -> hidden."),
    ],
)
def test_the_report_of_next_to_nothing_comes_out_and_says_so(
    tmp_path: Path, make_run: MakeRun, damage: Callable[[Path], None], words: str
) -> None:
    run = make_run()
    damage(run)
    read = read_run(run, run)
    assert all(as_csv(rows, columns) for columns, rows in (f.table(read) for f in FIGURES if f.there(read)))
    page = Page(write_report(tmp_path / "out"))
    alts = " ".join(str(image["alt"]) for image in page.all("img"))
    assert words in page.text + alts and page.images()
    assert "nan" not in re.sub("[a-z]+nan|nan[a-z]+", "", page.text.lower()) and "None" not in page.text


@pytest.mark.full
def test_the_report_of_all_committed_results_is_below_the_limit(tmp_path: Path) -> None:
    results = Path(__file__).parents[2] / "results"
    shutil.copytree(results, tmp_path / "results")
    path = write_report(tmp_path / "results")
    page = Page(path)
    runs = len(list(results.rglob("metrics.json")))
    assert f"{runs:,} runs: " in page.text and path.stat().st_size < 5_000_000
    assert "sweep over overlap" in page.text and page.images()
    # Every run has its line in a table, whether it is drawn or not.
    assert page.text.count(", seed ") >= runs


def test_hostile_text_stays_text(tmp_path: Path, make_run: MakeRun) -> None:
    folder = make_run(strategy="a$b", results={'<img src="x">': 1.0})
    metrics = json.loads((folder / "metrics.json").read_text()) | {
        "experiment": "<script>alert(1)</script>",
        "variant": "$x",
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    page = Page(write_report(tmp_path / "out"))
    assert "alert(1)</script>" not in page.source and "<script>alert(1)</script> · $x" in page.text
    assert len(page.images()) == 7


def test_many_runs_stay_below_the_limit_and_say_what_is_left_out(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        make_run("src", seed)
    monkeypatch.setattr(_page, "IMAGE_BYTES", 200_000)
    monkeypatch.setattr(_page, "TEXT_BYTES", 30)
    path = write_report(tmp_path / "out")
    page = Page(path)
    assert 0 < len(page.images()) < 8 and path.stat().st_size < 250_000
    assert "is left out to keep this file small" in page.text and "settings are left out" in page.text


def test_what_has_no_room_is_not_drawn_again_and_again(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(6):
        make_run("src", seed)
    drawn: list[str] = []
    embedded = RunFigure.embedded

    def counted(figure: RunFigure, run: Run) -> tuple[bytes, Markup | None]:
        drawn.append(figure.name)
        return embedded(figure, run)

    monkeypatch.setattr(RunFigure, "embedded", counted)
    monkeypatch.setattr(_page, "FIGURES", FIGURES[:1])
    # Room enough for the smallest of pictures, and for none of these.
    monkeypatch.setattr(_page, "IMAGE_BYTES", SMALLEST_IMAGE + 1)
    monkeypatch.setattr(_images, "MOST_MISSES", 4)
    page = Page(write_report(tmp_path / "out"))
    assert not page.images() and 0 < len(drawn) <= 4


def test_of_very_many_runs_not_each_is_drawn_and_those_say_so(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        make_run("src", seed)
    monkeypatch.setattr(_page, "FIGURES", FIGURES[:1])
    monkeypatch.setattr(_page, "MOST_FURTHER", 1)
    page = Page(write_report(tmp_path / "out"))
    assert "Its figure is left out, as of most of so many runs." in page.text
    monkeypatch.setattr(_page, "MOST_FURTHER", 60)
    whole = Page(write_report(tmp_path / "out"))
    # Of five runs one stands for its strategy, and one is drawn beside it.
    assert len(whole.images()) == len(page.images()) + 3 and "Its figure is left out" not in whole.text


def test_a_sweep_has_a_figure_of_all_its_points_and_of_each_task(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_page, "FIGURES", FIGURES[2:3])
    for value in ("0.01", "0.1", "1"):
        for seed in (0, 1):
            make_run("src", seed, 0.3 + seed / 10, variant=f"fraction-{value},analyse=true")
            make_run("ewc", seed, 0.2, variant=f"fraction-{value},analyse=true", accuracy_before_sleep=None, sleep=None)
    make_run(variant="k-5")
    make_run(variant="k-6")  # two points are no sweep
    page = Page(write_report(tmp_path / "out"))
    assert "src2022/mnist: sweep over fraction (analyse=true)" in page.text and "sweep over k" not in page.text
    alts = [str(image["alt"]) for image in page.all("img")]
    assert "Line chart: accuracy, all classes against fraction from 0.01 to 1: ewc, src." in alts
    assert any("src: each task before and after the last sleep against fraction" in alt for alt in alts)
    assert not any("ewc: each task" in alt for alt in alts)


@pytest.mark.usefixtures("few_figures")
def test_the_figures_of_analyses_are_shown_with_their_run(tmp_path: Path, make_run: MakeRun) -> None:
    folder = make_run()
    for name in ("sparseness", "class_correlation_hidden1", "weight_histogram_output", "patch_weights_task2"):
        ax = plot.accuracy([])
        plot.save(ax.figure, folder / "figures" / f"{name}.png")
    (folder / "figures" / "sparseness_of_my_own_notes.png").write_bytes(b"not ours")
    page = Page(write_report(tmp_path / "out"))
    assert "What the last sleep changed (4 figures)" in page.text
    captions = page.text
    assert "Sparseness of the activities before and after the last sleep (all layers)." in captions
    assert "cause, after the last sleep (hidden1)." in captions and "(task2)." in captions
    assert len(page.images()) == len(page.all("img"))


def test_figures_of_analyses_without_room_are_counted(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run()
    (folder / "figures").mkdir()
    for name in ("sparseness", "stable_rank"):
        (folder / "figures" / f"{name}.png").write_bytes(bytes(200_000))
    monkeypatch.setattr(_page, "FIGURES", FIGURES[:1])
    monkeypatch.setattr(_page, "IMAGE_BYTES", 450_000)
    text = Page(write_report(tmp_path / "out")).text
    assert "1 of 2 figures of analyses are left out to keep this file small; they are in figures/." in text


def test_folders_without_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run in"):
        write_report(tmp_path)
    with pytest.raises(RunFolderError, match="no folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="no run folder"):
        write_run_figures(tmp_path)
    # A settings file that stands elsewhere makes no run.
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(RunFolderError, match="no run in"):
        write_report(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["config.toml"]


def test_a_run_without_sleep_has_nothing_shaded(make_run: MakeRun) -> None:
    run = make_run("sequential")
    (run / "accuracy.csv").write_text("after_task,phase,on_task,accuracy\n1,wake,1,0.5\n")
    text = Page(write_report(run)).text
    assert "Accuracy on each task after every phase. " in text and "shaded" not in text


@pytest.mark.usefixtures("words_only")
def test_settings_above_the_runs_hide_none(tmp_path: Path, make_run: MakeRun) -> None:
    make_run()
    (tmp_path / "out" / "config.toml").write_text("")
    (tmp_path / "out" / "src2022" / "mnist" / "config.toml").write_text("")
    assert "1 run: 1 done." in Page(write_report(tmp_path / "out")).text


@pytest.mark.usefixtures("words_only")
def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    (tmp_path / "out" / "report.html").write_text("old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(RunFolderError, match="No space left"):
        write_report(tmp_path / "out")
    assert (tmp_path / "out" / "report.html").read_text() == "old"
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["report.html", "src2022"]


def test_run_figures_come_with_their_data(make_run: MakeRun) -> None:
    run = make_run()
    files = write_run_figures(run)
    assert [file.name for file in files] == [
        f"{name}.{kind}"
        for name in ("accuracy", "accuracy_matrix", "raster", "rates", "sleep_images")
        for kind in ("png", "csv")
    ]
    assert sorted(files) == sorted((run / "figures").iterdir())
    assert all(imread(file).size for file in files if file.suffix == ".png")
    tables = {file.stem: list(csv.DictReader(io.StringIO(file.read_text()))) for file in files if file.suffix == ".csv"}
    assert tables["accuracy"][0] == {"after_task": "1", "phase": "wake", "on_task": "1", "accuracy": "0.95"}
    # 10 spikes of 4 neurons in 50 steps of 2 ms.
    assert [float(row["rate_hz"]) for row in tables["rates"]] == pytest.approx([25, 15, 20])
    assert (
        tables["raster"][1] == {"population": "input", "time_s": "0.002", "neuron": "1"} and len(tables["raster"]) == 4
    )


def test_run_figures_leave_out_what_was_not_recorded(make_run: MakeRun) -> None:
    run = make_run()
    (run / "firing.csv").unlink()
    (run / "spikes" / "task2.npz").unlink()
    (run / "spikes" / "task10.npz").unlink()
    assert [file.name for file in write_run_figures(run)] == [
        f"{name}.{kind}" for name in ("accuracy", "accuracy_matrix") for kind in ("png", "csv")
    ]


@pytest.mark.usefixtures("few_figures")
def test_a_long_recording_is_shown_from_its_start(make_run: MakeRun) -> None:
    run = make_run()
    events = SpikeEvents.from_times(np.array([1, 1999, 2000]), np.array([0, 0, 0]), steps=5000, n=1)
    save_spikes(run, {"a:b": events})
    (rows,) = [
        list(csv.DictReader(io.StringIO(file.read_text())))
        for file in write_run_figures(run)
        if file.name == "raster.csv"
    ]
    assert [(row["population"], row["time_s"]) for row in rows] == [("a:b", "0.002"), ("a:b", "3.998")]


@pytest.mark.usefixtures("words_only")
def test_tables_that_cannot_be_read_as_text_are_said(make_run: MakeRun) -> None:
    run = make_run()
    (run / "firing.csv").write_text('after_task,population\n"' + "x" * 200_000 + '"\n')
    (run / "accuracy.csv").write_bytes(b"after_task,phase,on_task,accuracy\n\xff,wake,1,0.5\n2,wake,1,\n")
    page = Page(write_report(run))
    assert "firing.csv cannot be read: field larger than field limit" in page.text
    assert "accuracy.csv: 1 of 2 rows make no sense" in page.text


@pytest.mark.usefixtures("words_only")
def test_commands_lists_and_odd_environments_are_shown(make_run: MakeRun) -> None:
    run = make_run(seconds={"total": 300.0, "train": 9000.0, "sleep": None})
    content = {"command": ["neurosleep", "run", "a b"], "dt": "soon", "gpus": ["x", None]}
    (run / "environment.json").write_text(json.dumps(content))
    page = Page(write_report(run))
    assert "neurosleep run 'a b'" in page.text and f"gpus x, {DASH}" in page.text
    assert "5 min" in page.text and "2.5 h" in page.text


def test_what_grows_is_a_figure_where_it_was_measured(tmp_path: Path, make_run: MakeRun) -> None:
    growth = {"train_s": [1.0, 1.5, 2.0], "sleep_s": [0.5, 0.5, 0.5], "memory_bytes": [1e9, None, 1.2e9]}
    make_run("sleep", growth=growth, accuracy_matrix=[[0.9, 0, 0], [0.5, 0.7, 0], [0.4, 0.5, 0.6]])
    make_run("owm", growth={**growth, "sleep_s": [0.0]})
    folder = make_run("joint", growth={key: values[:1] for key, values in growth.items()})
    page = Page(write_report(tmp_path / "out"))
    said = [alt for alt in re.findall(r'alt="([^"]*)"', page.source) if alt.startswith("Three line charts")]
    (alt,) = said
    assert "sleep: accuracy 90.0 % to 50.0 %" in alt and "owm" not in alt and "joint" not in alt
    assert folder.exists()


@pytest.mark.usefixtures("words_only")
def test_the_sleeps_of_a_stream_are_a_table(tmp_path: Path, make_run: MakeRun) -> None:
    sleep = {
        "samples": 3000,
        "trigger": "the stream drifted",
        "status": "declined",
        "reason": "<b>no</b>",
        "seconds": 1,
    }
    make_run("sleep", stream=[sleep, {**sleep, "samples": None}, "nonsense"])
    make_run("owm", stream="nonsense")
    page = Page(write_report(tmp_path / "out"))
    assert "sleep, seed 0: 2 sleeps in a stream without tasks" in page.text
    assert "3,000" in page.text and "the stream drifted" in page.text and "<b>no</b>" in page.text
