"""What surrounds a release: the citation file, and what builds and tests elsewhere calls what exists here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import neurosleep as ns
from neurosleep.experiments import cite

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MINORS = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
# https://github.com/citation-file-format: what version 1.2.0 requires, and types that it knows.
REQUIRED = {"cff-version", "message", "title", "authors"}
KEYS = REQUIRED | {"type", "version", "abstract", "license", "keywords", "references"}


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def steps() -> list[dict[str, Any]]:
    return [step for job in read(".github/workflows/tests.yml")["jobs"].values() for step in job["steps"]]


def check_command(line: str) -> None:
    """It is one that this repository has: a target of the Makefile, a script, or Docker with the Dockerfile."""
    words = shlex.split(line)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert [word for word in words[1:] if "=" not in word and word not in targets] == [], line
    elif words[0] == "bash":
        assert (ROOT / words[1]).is_file(), line
    elif words[:2] == ["docker", "build"]:
        assert words[-1] == "." and (ROOT / "Dockerfile").is_file(), line
    else:
        assert words[:4] == ["docker", "run", "--rm", "neurosleep"], line


def test_the_citation_file_has_the_fields_of_its_format_and_the_facts_of_the_project() -> None:
    citation = read("CITATION.cff")
    assert set(citation) == KEYS and citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["title"] == PROJECT["name"] and citation["version"] == ns.__version__
    assert citation["authors"] == PROJECT["authors"] == [{"name": "The neurosleep authors"}]
    assert citation["abstract"] == PROJECT["description"] and citation["keywords"] == PROJECT["keywords"]
    assert citation["license"] == PROJECT["license"]


def test_what_the_citation_file_refers_to_is_what_the_package_cites() -> None:
    (given,) = read("CITATION.cff")["references"]
    (ours,) = (entry for entry in cite()["references"] if entry["key"] == "tadros2022")
    for name in ("title", "journal", "volume", "doi"):
        assert given[name] == ours[name]
    assert (given["type"], str(given["year"]), given["start"]) == ("article", str(ours["year"]), ours["pages"])
    names = [f"{author['family-names']}, {author['given-names']}" for author in given["authors"]]
    assert names == ours["author"]


def test_the_workflow_calls_what_exists_on_every_python_that_the_package_names() -> None:
    workflow = read(".github/workflows/tests.yml")
    assert workflow["name"] == "tests" and set(workflow[True]) == {"push", "pull_request"}  # "on" is true in YAML 1.1
    runs = [step["run"] for step in steps() if "run" in step]
    assert {"bash .ci/run", "make try-wheel PYTHON=python"} < set(runs)
    for line in runs:
        check_command(line)
    for step in steps():
        assert ("run" in step) != ("uses" in step) and re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
    matrices = [job["strategy"]["matrix"] for job in workflow["jobs"].values() if "strategy" in job]
    assert matrices and all(matrix["python"] == MINORS for matrix in matrices)
    assert PROJECT["requires-python"] == f">={MINORS[0]}"


@pytest.mark.parametrize("line", ["make nothing", "bash .ci/walk", "docker run neurosleep", "curl x"])
def test_a_workflow_that_calls_what_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        check_command(line)


def test_the_docker_file_has_known_instructions_and_copies_what_exists() -> None:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    stages: list[str] = []
    for instruction, rest in lines:
        assert instruction in {"FROM", "ARG", "COPY", "WORKDIR", "RUN", "ENTRYPOINT", "CMD"}
        words = rest.split()
        if instruction == "FROM":
            assert re.fullmatch(rf"python:({'|'.join(MINORS)})(-slim)?", words[0])
            stages += words[2:] if words[1:2] == ["AS"] else []
        elif instruction == "COPY" and words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
        elif instruction == "COPY":
            assert (ROOT / words[0]).exists()
        elif instruction == "RUN" and words[0] == "make":
            check_command(rest)
        elif instruction in ("ENTRYPOINT", "CMD"):
            (word,) = yaml.safe_load(rest)
            assert word in (PROJECT["scripts"] if instruction == "ENTRYPOINT" else {"demo"})
    assert [instruction for instruction, _ in lines].count("FROM") == 2 and lines[-1][0] == "CMD"
    assert "pip install" in text and "/source/dist/*.whl" in text


def test_what_make_would_do_for_a_wheel_is_what_the_test_of_the_wheel_does() -> None:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    done = subprocess.run(
        ["make", "--dry-run", "try-wheel", "PYTHON=python3"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    called = re.findall(r"(?:-m build|tools/\S+\.py)", done.stdout)
    assert called == ["-m build", "tools/try_wheel.py"] and (ROOT / called[1]).is_file()
