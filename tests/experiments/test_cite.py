"""What to cite: every name the package has is known, and the bibliography of a run is that of its parts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from neurosleep import analysis
from neurosleep.continual import STRATEGIES
from neurosleep.conversion import RECIPES
from neurosleep.data import dataset_names
from neurosleep.errors import HardwareProfileError, RunFolderError, SettingsError
from neurosleep.experiments import cite, experiment_names, load_settings
from neurosleep.experiments._cite import _references, known_uses
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.networks import NETWORKS
from neurosleep.experiments.wakes import WAKES
from neurosleep.functional import RULES
from neurosleep.hardware import load_profile, profile_names
from neurosleep.spiking import engine_names


def entries(bibtex: str) -> dict[str, dict[str, str]]:
    """The entries of a .bib file by key: a small reader of its own, which refuses what it does not know."""
    found: dict[str, dict[str, str]] = {}
    for block in bibtex.strip().split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith("%")]
        head = re.fullmatch(r"@(\w+)\{([\w:-]+),", lines[0])
        assert head and lines[-1] == "}", block
        assert head[2] not in found, f"{head[2]} stands there twice"
        fields = {"type": head[1]}
        for line in lines[1:-1]:
            field = re.fullmatch(r"  (\w+) = \{(.*)\},", line)
            assert field, line
            assert re.sub(r"\\.", "", field[2]).count("{") == re.sub(r"\\.", "", field[2]).count("}"), line
            if field[1] not in ("doi", "eprint"):
                assert not re.search(r"(?<!\\)[&%$#_]", field[2]), f"BibTeX would trip over {line}"
            fields[field[1]] = field[2]
        found[head[2]] = fields
    return found


def run(folder: Path, experiment: str, strategy: str, *changes: tuple[str, Any], settings: bool = True) -> Path:
    """A finished run's folder, with what `cite` reads."""
    folder.mkdir(parents=True)
    name, config = load_settings(experiment, strategy=strategy, changes=changes)
    data = ", ".join(config.data.sequence or [config.data.name])
    metrics = {"experiment": name, "variant": "default", "strategy": strategy, "seed": 0, "data": data}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps({"versions": {"neurosleep": "9.8.7"}}), encoding="utf-8")
    if settings:
        (folder / "config.toml").write_text(dump_toml(config), encoding="utf-8")
    return folder


def test_every_name_the_package_has_is_known() -> None:
    uses = {kind: set(names) for kind, names in known_uses().items()}
    assert uses["strategy"] == set(STRATEGIES)
    assert uses["engine"] == set(engine_names())
    assert uses["rule"] == set(RULES)
    assert uses["recipe"] == set(RECIPES)
    assert uses["data"] == {*dataset_names(), "patches"}
    assert uses["experiment"] == {name.split("/")[0] for name in experiment_names()}
    assert uses["analysis"] <= set(analysis.__all__)
    assert uses["network"] == set(NETWORKS) and uses["learning"] == set(WAKES)


def test_every_work_that_a_docstring_names_is_known() -> None:
    works = _references()["works"].values()
    known = {str(work[key]).lower() for work in works for key in ("doi", "eprint") if key in work}
    package = Path(analysis.__file__).parents[1]
    named = {
        (match[1] or match[2]).rstrip(".:").lower()
        for path in package.rglob("*.py")
        for match in re.finditer(
            r"doi:\s*(10\.\d{4,}/[^\s,;)\]]+)|arXiv[: ]*(\d{4}\.\d{4,5})", path.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 25 and named - known == set(), "write them into experiments/published/references.toml"


def test_every_work_is_used_and_every_use_names_a_work() -> None:
    works = _references()["works"]
    used = {key for names in _references()["uses"].values() for keys in names.values() for key in keys}
    assert used == set(works)
    for key, work in works.items():
        assert work["type"] in {"article", "inproceedings", "incollection", "techreport", "misc"}
        assert work["author"] and work["title"] and 1900 < work["year"] < 2030
        assert re.match(r"[a-z]+\d{4}", key)
        if "eprint" in work:
            assert work["archiveprefix"] == "arXiv" and re.fullmatch(r"\d{4}\.\d{4,5}", work["eprint"])
        if "doi" in work:
            assert re.fullmatch(r"10\.\d{4,}/\S+", work["doi"])


def test_without_a_folder_everything_is_cited() -> None:
    found = cite()
    bib = entries(found["bibtex"])
    assert set(_references()["works"]) < set(bib) and "neurosleep" in bib
    assert [reference["key"] for reference in found["references"]] == list(bib)
    assert found["bibtex"].isascii()
    assert bib["tadros2022"]["doi"] == "10.1038/s41467-022-34938-7"
    assert bib["kubo2023"]["journal"] == r"Communicative \& Integrative Biology"
    assert bib["neurosleep"]["author"] == "{The neurosleep authors}"
    for name in profile_names():
        public = [s for s in load_profile(name).sources.values() if s.grade in ("code", "primary", "secondary")]
        assert {f"{name}-{source.name}" for source in public} <= set(bib)
    assert not any("recalled" in key for key in bib)


def test_a_run_cites_its_parts_and_nothing_else(tmp_path: Path) -> None:
    rule = {"name": "stdp", "a_plus": 0.1, "a_minus": 0.1}
    run(tmp_path / "seed0", "src2022/mnist", "ewc+src", ("sleep.rule", rule), ("engine", "norse"))
    found = cite(tmp_path)
    wanted = {"neurosleep", "tadros2022", "kirkpatrick2017", "lecun1998", "pehle2021", "song2000", "diehl2015"}
    assert set(entries(found["bibtex"])) == {*wanted, "paszke2019", "harris2020"}
    assert entries(found["bibtex"])["neurosleep"]["version"] == "9.8.7"
    assert found["runs"] == 1 and found["notes"] == []
    reasons = next(reference["for"] for reference in found["references"] if reference["key"] == "kirkpatrick2017")
    assert reasons == ["strategy ewc"]
    assert found["without_reference"] == ["network mlp", "learning backprop"]


def test_settings_that_turn_something_on_are_cited(tmp_path: Path) -> None:
    plain = run(tmp_path / "a", "hts2026/mnist", "ewc", ("network.dt_distribution", None))
    assert "kubo2026steps" in entries(cite(plain)["bibtex"])  # the experiment's own
    other = run(tmp_path / "b", "ep2025/mnist", "ewc", ("ewc.mode", "online"))
    keys = set(entries(cite(other)["bibtex"]))
    assert {"kubo2025", "scellier2017", "laborieux2021", "schwarz2018"} <= keys
    assert not {"kubo2026steps", "kubo2023", "tadros2022", "lam2015"} & keys  # it does not sleep
    third = run(tmp_path / "c", "ep2025/mnist", "sequential", ("network.dt_distribution", "gamma"))
    assert "kubo2026steps" in entries(cite(third)["bibtex"])
    both = entries(cite(tmp_path)["bibtex"])
    assert set(both) == keys | set(entries(cite(plain)["bibtex"])) | set(entries(cite(third)["bibtex"]))


def test_analyses_are_cited_by_the_files_they_left(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "src2022/fashion", "src")
    (folder / "analysis").mkdir()
    for name in ("stable_rank", "weight_summary", "sparseness_before"):
        (folder / "analysis" / f"{name}.csv").write_text("x\n1\n", encoding="utf-8")
    keys = set(entries(cite(folder)["bibtex"]))
    assert {"rudelson2007", "rolls1995", "xiao2017"} <= keys and "welch1947" not in keys


def test_the_sources_of_profiles_are_added(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "src2022/mnist", "src")
    keys = set(entries(cite(folder, profiles=["loihi1", "ideal"])["bibtex"]))
    assert "loihi1-lava" in keys and "loihi1-davies2018_recalled" not in keys
    assert cite(folder, profiles=["ideal"])["without_reference"][-1] == "profile ideal"


def test_the_chips_of_a_run_are_cited_by_their_sources(tmp_path: Path) -> None:
    chips = [("sleep.profile", "loihi1"), ("hardware.profiles", ["ideal", "xylo_a2"]), ("hardware.recipe", "balance")]
    found = cite(run(tmp_path / "a", "on-chips/mnist", "src", *chips))
    assert {"loihi1-lava", "xylo_a2-rockpool", "sengupta2019"} <= set(entries(found["bibtex"]))
    assert "profile ideal" in found["without_reference"]
    # Without sleep nothing slept on a chip; and a profile of one's own may have gone since.
    other = cite(run(tmp_path / "b", "on-chips/mnist", "sequential", *chips[:1], ("hardware.profiles", ["gone.toml"])))
    assert not any("loihi1" in key for key in entries(other["bibtex"]))
    assert len(other["notes"]) == 1 and "gone.toml" in other["notes"][0]


def test_a_run_without_its_settings_says_so(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "src2022/crossmodal", "owm", settings=False)
    found = cite(folder)
    assert {"zeng2019", "lecun1998", "xiao2017"} <= set(entries(found["bibtex"]))
    assert len(found["notes"]) == 1 and "config.toml" in found["notes"][0]


def test_ones_own_experiment_and_data_have_no_reference(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "src2022/mnist", "src")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics |= {"experiment": "my@own", "data": "features:some_file.npz"}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    found = cite(folder)
    assert found["without_reference"][:2] == ["experiment my@own", "data features"]
    assert "lecun1998" not in entries(found["bibtex"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[1]"),
        ("metrics.json", "{}"),
        ("environment.json", "nothing"),
        ("config.toml", "= 1"),
        ("config.toml", 'engine = "event"'),
        ("config.toml", "network = 1\nwake = 2"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, name: str, content: str) -> None:
    folder = run(tmp_path / "a", "src2022/mnist", "src")
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(RunFolderError, match=re.escape(name)):
        cite(folder)


def test_no_runs_and_no_such_profile(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no folder"):
        cite(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="no finished runs"):
        cite(tmp_path)
    with pytest.raises((HardwareProfileError, SettingsError), match="loihi3"):
        cite(profiles=["loihi3"])
