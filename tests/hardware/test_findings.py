"""Every code of a finding: a bad file and the exact message."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

import neurosleep as ns
from neurosleep.errors import HardwareProfileError, SettingsError, UnknownNameError
from neurosleep.hardware import profile_names
from neurosleep.hardware.profiles.load import profile_folder
from neurosleep.hardware.profiles.schema import CODES

# The shipped Loihi under a name of its own, where a finding is made by one change of the text.
LOIHI = (profile_folder() / "loihi1.toml").read_text(encoding="utf-8").replace('id = "loihi1"', 'id = "my"')
MISSING = "HP004 required; add it or list it in 'unpublished'"
RECALLED = "energy.update_inactive_pj: HP015 figure is recalled, not verified"


def read(tmp_path: Path, text: str, name: str = "my.toml") -> ns.HardwareProfile:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return ns.load_profile(tmp_path / name)


def errors(tmp_path: Path, text: str, name: str = "my.toml") -> list[str]:
    """The lines of the error, without the folder."""
    with pytest.raises(HardwareProfileError) as caught:
        read(tmp_path, text, name)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.findings) == (str(caught.value), caught.value.findings)
    assert [str(f) for f in copy.findings if f.level == "error"] == str(copy.message).splitlines()
    return [line.removeprefix(f"{tmp_path}/{name}:") for line in str(caught.value.message).splitlines()]


def changed(old: str, new: str) -> str:
    assert LOIHI.count(old) >= 1, old
    return LOIHI.replace(old, new, 1)


CASES = {
    "HP002": (
        "schema_version = 1",
        "schema_version = 2",
        ["schema_version: HP002 schema_version 2 is not supported by this release (supports 1)"],
    ),
    "HP003": (
        "exponent_min = -8",
        "exponent_mn = -8",
        ["weights.exponent_mn: HP003 unknown key; did you mean 'weights.exponent_min'?"],
    ),
    "HP003 table": (
        "[threshold]",
        "[treshold]",
        [
            "treshold: HP003 unknown key; did you mean 'threshold'?",
            f"threshold.mantissa_bits: {MISSING} (got nothing, expected int 1..53)",
            f"threshold.shift_bits: {MISSING} (got nothing, expected int 0..31)",
            f"threshold.compare: {MISSING} (got nothing, expected str)",
        ],
    ),
    "HP003 in unpublished": (
        '["energy.static_mw"',
        '["energy.static"',
        ["unpublished: HP003 unknown key 'energy.static'; did you mean 'energy.static_mw'?"],
    ),
    "HP004": (
        "bits = 8\n",
        "\n",
        ["weights.bits: HP004 required; add it or list it in 'unpublished' (got nothing, expected int 1..32)"],
    ),
    "HP004 one of two": (
        "synapse_memory_bits_per_core = 1048576\n",
        "\n",
        [
            "capacity.synapse_memory_bits_per_core: HP004 required; add it or list it in 'unpublished' "
            '(got nothing, expected int or "unlimited" >= 1)',
            "capacity.limit_kind.synapse_memory_bits_per_core: "
            "HP013 only where capacity.synapse_memory_bits_per_core is given",
        ],
    ),
    "HP004 of what cannot be unpublished": (
        'vendor = "Intel"\n',
        "\n",
        ["profile.vendor: HP004 required; add it (got nothing, expected str)"],
    ),
    "HP005": ('["energy.static_mw"', '["weights.bits"', ["weights.bits: HP005 listed as unpublished but has a value"]),
    "HP006": ("bits = 8\n", 'bits = "eight"\n', ["weights.bits: HP006 expected int, got str"]),
    "HP006 bool": ("bits = 8\n", "bits = true\n", ["weights.bits: HP006 expected int, got bool"]),
    "HP006 number for bool": ("signed = true", "signed = 1", ["membrane.signed: HP006 expected bool, got int"]),
    "HP006 nan": ("synop_pj = 23.6", "synop_pj = nan", ["energy.synop_pj: HP006 expected float, got nan"]),
    "HP006 inf": ("synop_pj = 23.6", "synop_pj = -inf", ["energy.synop_pj: HP006 expected float, got inf"]),
    "HP006 date": ("bits = 8\n", "bits = 2026-01-01\n", ["weights.bits: HP006 expected int, got date or time"]),
    "HP006 array": ('modes = ["to_zero"]', "modes = [1]", ["reset.modes: HP006 expected array of str, got int in it"]),
    "HP006 table": ("[spike]", "[[spike]]", ["spike: HP006 expected table, got array"]),
    "HP006 limit": (
        "cores_per_chip = 128",
        'cores_per_chip = "many"',
        ['capacity.cores_per_chip: HP006 expected int or "unlimited", got str'],
    ),
    "HP007": ("bits = 8\n", "bits = 40\n", ["weights.bits: HP007 expected 1..32, got 40"]),
    "HP007 id": (
        'id = "my"',
        'id = "My chip"',
        [
            "profile.id: HP007 expected [a-z0-9_]+, got 'My chip'",
        ],
    ),
    "HP007 empty": ('modes = ["to_zero"]', "modes = []", ["reset.modes: HP007 expected one member or more, got []"]),
    "HP007 twice": (
        'modes = ["to_zero"]',
        'modes = ["to_zero", "to_zero"]',
        ["reset.modes: HP007 expected different members, got ['to_zero', 'to_zero']"],
    ),
    "HP007 terminal": (
        'vendor = "Intel"',
        'vendor = "\\u001b[2J"',
        [r"profile.vendor: HP007 expected printable text, got '\\x1b[2J'"],
    ),
    "HP008": (
        'overflow = "saturate"',
        'overflow = "clip"',
        ["weights.overflow: HP008 expected one of saturate, wrap, error, got 'clip'"],
    ),
    "HP009": ("exponent_min = -8", "exponent_min = 9", ["weights.exponent_min: HP009 exponent_min 9 > exponent_max 7"]),
    "HP009 default": (
        'default = "to_zero"',
        'default = "none"',
        ["reset.default: HP009 default 'none' is not one of modes ['to_zero']"],
    ),
    "HP010": (
        "mantissa_min = -256\nmantissa_max = 254\nmantissa_step = 2",
        "mantissa_min = -254\nmantissa_max = 254\nmantissa_step = 1",
        ["weights.bits: HP010 509 levels do not fit 8 bits with step 1 (got 509 levels, expected at most 257)"],
    ),
    "HP010 step": (
        "mantissa_max = 254",
        "mantissa_max = 253",
        ["weights.mantissa_max: HP010 mantissa_max 253 is not a multiple of step 2"],
    ),
    "HP011": (
        "mantissa_bits = 17",
        "mantissa_bits = 18",
        [
            "threshold.mantissa_bits: HP011 largest threshold 2^24 exceeds membrane range "
            "(got 24 bits, expected at most 23 bits)"
        ],
    ),
    "HP012": (
        "denominator = 4096\n",
        "\n",
        [
            "decay.denominator: HP012 required when decay.kind = 'multiplicative_integer' "
            "(got nothing, expected int >= 1)"
        ],
    ),
    "HP020": (
        "denominator = 4096\n",
        "denominator = 4095\n",
        ["decay.denominator: HP020 expected a power of two, got 4095"],
    ),
    "HP020 more than all": (
        "current_offset = 1\n",
        "current_offset = 2\n",
        ["decay.max: HP020 registers and offsets make a loss of 0..4097 of 4096 (got 0..4097, expected 0..4096)"],
    ),
    "HP020 too wide": (
        "denominator = 4096\n",
        "denominator = 1073741824\n",
        [
            "decay.denominator: HP020 a product of a state and a decay has 54 bits "
            "(got 54 bits, expected at most 53 bits)"
        ],
    ),
    "HP020 sign alone": (
        "mantissa_bits = 17\n",
        "mantissa_bits = 1\nsigned = true\n",
        [
            "threshold.mantissa_bits: HP020 a sign alone is no threshold (got 1, expected 2 or more, or unsigned)",
        ],
    ),
    "HP020 cores": (
        "[capacity.packing]\n",
        "[capacity.packing]\nkernel_words_per_core = [1, 2]\n",
        ["capacity.packing.kernel_words_per_core: HP020 expected an entry for each of 128 cores, got 2"],
    ),
    "HP007 far": (
        "latency_steps = 1\n",
        "latency_steps = 2147483648\n",
        ["delay.latency_steps: HP007 expected 0..1023, got 2147483648"],
    ),
    "HP012 unless": (
        "step_s = 0.001\n",
        "\n",
        [
            "time.step_s: HP012 required when time.kind = 'discrete' unless time.step_free = true "
            "(got nothing, expected float > 0)"
        ],
    ),
    "HP012 with": (
        "synop_includes_static = false\n",
        "\n",
        ["energy.synop_includes_static: HP012 required when energy.synop_pj is given (got nothing, expected bool)"],
    ),
    "HP012 analog": (
        'kind = "digital"',
        'kind = "analog"',
        [
            "mismatch.sd_relative: HP012 required when profile.kind = 'analog' (got nothing, expected float 0..1)",
            "mismatch.sd_source: HP012 required when profile.kind = 'analog' (got nothing, expected str)",
        ],
    ),
    "HP013": (
        "[process]",
        '[mismatch]\nsd_relative = 0.1\nsource = "onm"\n\n[process]',
        [
            "mismatch.sd_relative: HP013 only for kind = 'analog'",
            "mismatch.source: HP013 only for kind = 'analog'",
        ],
    ),
    "HP014": (
        '[threshold]\nsource = "lava"',
        '[threshold]\nsource = "foo"',
        [
            "threshold.source: HP014 source 'foo' has no [sources.foo] (expected one of brian2_loihi, davies2018, "
            "davies2018_recalled, keras_spiking, lava, nengo_loihi, onm, sana_fe)"
        ],
    ),
    "HP015 grade": (
        'grade = "recalled"',
        'grade = "hearsay"',
        [
            "sources.davies2018_recalled.grade: HP015 grade is none that there is "
            "(got 'hearsay', expected one of code, primary, secondary, recalled, project)"
        ],
    ),
    "HP015 citation": (
        'citation = "open-neuromorphic.org, page on Loihi"',
        'citation = " "',
        ["sources.onm.citation: HP015 citation is empty (got ' ', expected what is cited)"],
    ),
    "HP015 and a terminal": (
        'citation = "open-neuromorphic.org, page on Loihi"',
        'citation = "\\u0007"',
        [r"sources.onm.citation: HP007 expected printable text, got '\\x07'"],
    ),
    "HP003 in a source": (
        "year = 2018",
        "year = 2018\npages = 3",
        ["sources.davies2018.pages: HP003 unknown key; a source has citation, year, grade"],
    ),
    "HP004 in a source": (
        "year = 2018\n",
        "\n",
        ["sources.davies2018.year: HP004 required; add it (got nothing, expected int)"],
    ),
    "HP006 in a source": ("year = 2018", "year = true", ["sources.davies2018.year: HP006 expected int, got bool"]),
    "HP007 in a source": ("year = 2018", "year = 18", ["sources.davies2018.year: HP007 expected 1900..2100, got 18"]),
    "HP006 of a figure's source": (
        'energy.hop_pj = "keras_spiking"',
        "energy.hop_pj = 3",
        ["sources.energy.hop_pj: HP006 expected str, got int"],
    ),
    "HP005 by status": (
        'status = "published"',
        'status = "unpublished"',
        [
            f"energy.{name}: HP005 listed as unpublished but has a value (expected another energy.status)"
            for name in (
                "synop_pj",
                "update_active_pj",
                "update_inactive_pj",
                "hop_pj",
                "learn_update_pj",
                "hops_per_synop",
            )
        ],
    ),
    "HP007 below": ("mantissa_min = -256", "mantissa_min = 2", ["weights.mantissa_min: HP007 expected <= 0, got 2"]),
    "HP007 above zero": ("die_mm2 = 60.0", "die_mm2 = 0.0", ["process.die_mm2: HP007 expected > 0, got 0.0"]),
    "HP007 step": ("step_s = 0.001", "step_s = 0", ["time.step_s: HP007 expected > 0, got 0"]),
    "HP013 float": (
        'sign_scheme = "group_mode"',
        'sign_scheme = "float"',
        [
            f"{name}: HP013 not for sign_scheme = 'float'"
            for name in (
                "weights.bits",
                "weights.mantissa_min",
                "weights.mantissa_max",
                "weights.mantissa_step",
                "membrane.bits",
            )
        ],
    ),
    "HP016": (
        'basis = "pre_silicon"\n',
        "\n",
        [
            "energy.basis: HP016 state energy.basis "
            "(got nothing, expected one of silicon, pre_silicon, fitted_simulator, estimate)"
        ],
    ),
    "HP016 note": (
        'note = "Table 2',
        '# note = "Table 2',
        ["energy.note: HP016 state energy.note: the basis is pre_silicon (got nothing, expected str)"],
    ),
    "HP017 of a table within": (
        "message_pj = 111.0",
        "message_pj = 0",
        ["energy.fitted.message_pj: HP017 must be > 0; omit and list as unpublished if unknown (got 0, expected > 0)"],
    ),
    "HP017": (
        "hop_pj = 3.5",
        "hop_pj = 0",
        ["energy.hop_pj: HP017 must be > 0; omit and list as unpublished if unknown (got 0, expected > 0)"],
    ),
    "HP018": (
        'neurons_per_core = "structural"\n',
        "\n",
        [
            "capacity.limit_kind.neurons_per_core: HP018 state whether structural, budget or deadline "
            "(got nothing, expected one of structural, budget, deadline)"
        ],
    ),
    "HP019": ('id = "my"', 'id = "yours"', ["profile.id: HP019 id 'yours' differs from the file's name 'my'"]),
    "HP030": (
        "spiking = true",
        "spiking = false",
        ["profile.spiking: HP030 'my' is not a spiking target; there is nothing to map"],
    ),
}


def test_the_file_that_the_cases_change_is_right(tmp_path: Path) -> None:
    profile = read(tmp_path, LOIHI)
    assert [str(f).removeprefix(f"{tmp_path}/my.toml:") for f in profile.findings] == [RECALLED]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_has_exactly_these_findings(tmp_path: Path, case: str) -> None:
    old, new, wanted = CASES[case]
    assert errors(tmp_path, changed(old, new)) == wanted


def test_every_code_has_a_case() -> None:
    assert {case.split()[0] for case in CASES} | {"HP001"} == set(CODES)


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    (line,) = errors(tmp_path, "schema_version = 1\n\n[profile]\nid = 3 4\nname = 1\n")
    assert line == " HP001 not valid TOML: line 4: Expected newline or end of document after a statement"
    (line,) = errors(tmp_path, "schema_version = 1\nunpublished = [")
    assert line == " HP001 not valid TOML: line 2: Invalid value"


def test_a_very_long_number_is_named_by_its_length(tmp_path: Path) -> None:
    text = changed("bits = 8\n", f"bits = 0x{'f' * 5000}\n")
    assert errors(tmp_path, text) == ["weights.bits: HP007 expected 1..32, got an int of 20000 bits"]


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    text = changed("bits = 8\n", "bits = 99\n").replace('compare = ">"', "compare = 1").replace("hop_pj", "hops_pj", 2)
    assert [line.split(" ")[1] for line in errors(tmp_path, text)] == ["HP007", "HP006", "HP003", "HP003"]


def test_sources_that_are_no_table_are_one_finding(tmp_path: Path) -> None:
    start, end = LOIHI.index("# Single figures"), LOIHI.index("[weights]")
    found = errors(tmp_path, "sources = 3\n" + LOIHI[:start] + LOIHI[end:])
    assert found[-1] == "sources: HP006 expected table, got int"
    assert all("HP014" in line and "expected a table of that name" in line for line in found[:-1])


def test_a_profile_knows_its_keys() -> None:
    profile = ns.load_profile("loihi1")
    assert (profile.kind, profile.name) == ("digital", "Loihi (first generation)")
    assert "pre-silicon" in profile.notes()["energy"]
    assert profile.source_of("schema_version") is None
    with pytest.raises(KeyError):
        profile.get("weights.bitz")


def test_a_source_for_one_figure_stands_over_its_tables(tmp_path: Path) -> None:
    text = changed('energy.hop_pj = "keras_spiking"', 'energy.hop_pj = "davies2018_recalled"')
    found = [str(f).split(":", 1)[1] for f in read(tmp_path, text).findings]
    assert "energy.hop_pj: HP015 figure is recalled, not verified" in found
    quoted = changed('energy.hop_pj = "keras_spiking"', '"energy.hop_pj" = "davies2018_recalled"')
    assert read(tmp_path, quoted).source_of("energy.hop_pj") == read(tmp_path, text).source_of("energy.hop_pj")
    wrong = changed('energy.hop_pj = "keras_spiking"', 'energy.hops = "keras_spiking"\nenergy.hop_pj = "me"\nx = 1')
    assert [line.split(" (")[0] for line in errors(tmp_path, wrong)] == [
        "sources.energy.hop_pj: HP014 source 'me' has no [sources.me]",
        "sources.energy.hops: HP003 unknown key; sources name a figure or define a source",
        "sources.x: HP006 expected table, got int",
    ]


def test_a_table_within_another_has_its_source(tmp_path: Path) -> None:
    profile = read(tmp_path, changed('[capacity.packing]\nsource = "nengo_loihi"\n', "[capacity.packing]\n"))
    assert len(profile.findings) == 1
    source = profile.source_of("capacity.packing.word_bits")
    assert source is not None and source.name == "nengo_loihi"


def test_figures_without_a_source_and_a_shipped_id_are_warnings(tmp_path: Path) -> None:
    text = changed('[spike]\nsource = "nengo_loihi"', "[spike]").replace('id = "my"', 'id = "loihi1"')
    profile = read(tmp_path, text, "loihi1.toml")
    assert [str(f).removeprefix(f"{tmp_path}/loihi1.toml:") for f in profile.findings] == [
        RECALLED,
        "spike: HP015 figures name no source: payload_bits",
        "profile.id: HP019 a shipped profile is named 'loihi1' too, and differs",
    ]
    assert all(f.level == "warning" for f in profile.findings)
    unchanged = read(tmp_path, LOIHI.replace('id = "my"', 'id = "loihi1"'), "loihi1.toml")
    assert len(unchanged.findings) == 1


def test_an_unsigned_membrane_holds_thresholds_of_its_own_width(tmp_path: Path) -> None:
    odin = (profile_folder() / "odin.toml").read_text(encoding="utf-8").replace('id = "odin"', 'id = "my"')
    assert read(tmp_path, odin).threshold.mantissa_bits == 8
    signed = odin.replace("bits = 8\nsigned = false\noverflow", "bits = 8\nsigned = true\noverflow")
    assert [line.split(" (")[0] for line in errors(tmp_path, signed)] == [
        "threshold.mantissa_bits: HP011 largest threshold 2^8 exceeds membrane range"
    ]


# --- names and files --------------------------------------------------------------------------------------------------


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"There is no hardware profile named 'spinaker1'\.") as caught:
        ns.load_profile("spinaker1")
    assert caught.value.hint == "did you mean 'spinnaker1'?"
    assert caught.value.expected == "one of: " + ", ".join(profile_names())


@pytest.mark.parametrize(("name", "reason"), [("akida1", "quantised CNNs"), ("NorthPole", "dense integer arithmetic")])
def test_chips_that_do_not_spike_are_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(HardwareProfileError) as caught:
        ns.load_profile(name)
    (finding,) = caught.value.findings
    assert (finding.code, finding.message) == (
        "HP030",
        f"{name.lower()!r} is not a spiking target; there is nothing to map",
    )
    assert caught.value.hint is not None and reason in caught.value.hint


def test_what_is_neither_a_name_nor_a_file_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"A hardware profile is named or a file, not int\."):
        ns.load_profile(3)  # type: ignore[arg-type]


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _absent(path: Path) -> None:
    pass


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _writes(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "absent": (_absent, "cannot be read: No such file or directory"),
    "folder": (_folder, "not a file"),
    "pipe": (_fifo, "not a file"),
    "loop of links": (_loop, "cannot be read: Too many levels of symbolic links"),
    "huge": (_writes(b"# " + b"x" * 10_000_000), "larger than 256 KiB, which no profile is"),
    "binary": (_writes(bytes(range(256)) * 10), "not UTF-8 text (byte 128)"),
    "UTF-16": (_writes(LOIHI.encode("utf-16")), "not UTF-8 text (byte 0)"),
    "zeros": (_writes(b"\0" * 100), "not valid TOML: line 1: "),
    "deep": (_writes(b"a = " + b"[" * 100_000), "not valid TOML: nested too deeply"),
    "long number": (_writes(b"a = " + b"9" * 100_000), "not valid TOML: Exceeds the limit"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_none_give_a_clear_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.toml"
    make, message = FILES[kind]
    make(path)
    with pytest.raises(HardwareProfileError) as caught:
        ns.load_profile(path)
    assert str(caught.value).startswith(f"{path}: HP001 {message}")
    assert len(str(caught.value)) < 400
    with pytest.raises(HardwareProfileError):
        ns.load_profile(str(path))


def test_an_empty_file_lists_what_is_required(tmp_path: Path) -> None:
    found = errors(tmp_path, "")
    assert found[0] == "schema_version: HP004 required; add it (got nothing, expected int)"
    assert len(found) > 30


def test_thousands_of_unknown_keys_are_all_named(tmp_path: Path) -> None:
    found = errors(tmp_path, "".join(f"key{k} = 1\n" for k in range(5000)) + LOIHI)
    assert sum("HP003 unknown key" in line for line in found) == 5000


def test_text_with_a_mark_of_byte_order_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + LOIHI).id == "my"
