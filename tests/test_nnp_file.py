"""The potential file: whatever is done to one, there is one ValueError that names file and line, or a potential that computes finite numbers."""

import locale
import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastmd
import structures
from fastmd import G1, Network, NNPotential, _core

VALID = structures.random_potential(np.random.default_rng(4), ("H", "O"), "sigma", "tanh").text()
LINES = VALID.split("\n")
ATOMS = structures.hard()["molecule"]
SMALL = """fastmd-potential 1
unit length angstrom 1
unit energy eV 1
element H offset -0.5
element Si offset 1
scaling center 0 1
functions H 2
G1 H cutoff 4 poly2 stats 0 1 0.5 0.2
G4 H Si eta 0.1 lambda -1 zeta 2 cutoff 4 cosine stats 0 1 0.5 0.2
functions Si 1
G2 Si eta 0.1 rs 1 cutoff 4 tanh3 stats 0 1 0.5 0.2
network H 2
layer 2 2 tanh
0.1 0.2 0.3
0.4 0.5 0.6
layer 1 2 identity
1 2 3
network Si 1
layer 1 1 softplus
1 0
note made by hand # and this is no comment
end
"""


def parse(text):
    return NNPotential._parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"), "some.nnp")


def error_or_finite(text, only=None):
    """The error's message, or None where the potential works"""
    try:
        p = parse(text)
    except ValueError as e:
        message = str(e)
        assert "\n" not in message and len(message) < 400, message
        # a number that came through the parser is refused by no later door, which would not know the line
        assert re.match(r"some\.nnp:\d+: \S|some\.nnp: holds symmetry functions only", message), message
        return message
    for atoms in (Atoms(p.elements[0]), ATOMS):
        if not set(atoms.symbols) <= set(p.elements):
            continue
        try:
            r = p.compute(atoms)
        except ValueError as e:  # numbers that may stand in a file may make an energy that is infinite, or a unit that hides distances
            assert re.search("not finite|on top of each other|cutoff must be >= 1e-6", str(e)), e
        else:
            assert np.isfinite(r.energy) and np.isfinite(r.energies).all() and np.isfinite(r.forces).all() and np.isfinite(r.virial).all()
    assert parse(p.text()).text() == p.text()
    return None


def test_the_valid_files_are_valid():
    assert error_or_finite(VALID) is None and error_or_finite(SMALL) is None
    assert parse(VALID).text() == VALID
    assert parse(SMALL).notes == {"made": "by hand # and this is no comment"}


@settings(max_examples=250, deadline=None)
@given(st.integers(0, len(VALID) - 1))
def test_a_file_truncated_anywhere_is_an_error(at):
    text = VALID[:at]
    if text.endswith("end") or not VALID[at:].strip():
        assert error_or_finite(text) is None
    else:
        assert error_or_finite(text) is not None


def test_a_small_file_truncated_at_each_byte_is_an_error():
    for at in range(len(SMALL) - 1):
        assert (error_or_finite(SMALL[:at]) is None) == (at == len(SMALL) - 1)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["swap", "drop", "duplicate"]), st.integers(0, len(LINES) - 1), st.integers(0, len(LINES) - 1))
def test_lines_swapped_dropped_or_duplicated_make_an_error_or_a_potential(how, a, b):
    lines = list(LINES)
    if how == "swap":
        lines[a], lines[b] = lines[b], lines[a]
    elif how == "drop":
        del lines[a]
    else:
        lines.insert(b, lines[a])
    error_or_finite("\n".join(lines))


WORDS = [(m.start(), m.end()) for m in re.finditer(r"\S+", VALID)]
NUMBERS = [w for w in WORDS if re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", VALID[slice(*w)])]
STRANGE = ["nan", "NaN", "-nan", "inf", "-inf", "infinity", "1e999", "-1e999", "1e308", "-1e308", "1e-320", "0", "-0", "-1", "1.5", "0x10", "1,5", "1e", "--1", "+1", "1_000",
           "999999999", "99999999999999999999", "-999999999", "2147483648", "text", "", "H", "#", "1 2", "1\n2", "\0", "é", "end", "1" * 500]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from(STRANGE))
def test_a_number_replaced_makes_an_error_or_a_potential(where, by):
    text = VALID[:where[0]] + by + VALID[where[1]:]
    message = error_or_finite(text)
    if by.lower().lstrip("-") in ("nan", "inf", "infinity", "1e999", "text", "", "0x10", "1,5", "1e", "-1e", "1_000", "\0", "é", "1 2") and where[0] < VALID.index("note "):
        # the name of a unit may be a strange word; nothing else may
        assert message is not None or VALID[:where[0]].endswith(("unit length ", "unit energy "))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(WORDS), st.sampled_from(STRANGE + ["G1", "G5", "tanh", "network", "functions", "layer", "stats", "cosine", "Si"]))
def test_a_word_replaced_makes_an_error_or_a_potential(where, by):
    error_or_finite(VALID[:where[0]] + by + VALID[where[1]:])


@pytest.mark.parametrize("old, new", [
    ("note made", "note ma\x0bde"), ("note made", "note ma\u00a0de"), ("by hand", "by\0\x1chand"), ("length angstrom", "length ang\u00a0strom"), ("length angstrom 1", "length angstrom 1e-320"),
    ("length angstrom 1", "length angstrom 1e300"), ("energy eV 1", "energy eV 1e308"), ("G1 H cutoff 4", "G1 H cutoff 1e-320"), ("G1 H cutoff 4", "G1 H cutoff 1e200"), ("lambda -1", "lambda 1e308"),
    ("zeta 2", "zeta 1e308"), ("zeta 2", "zeta 4095.5"), ("zeta 2", "zeta 4097"), ("eta 0.1 lambda", "eta 1e308 lambda"), ("G1 H cutoff", "G3 H kappa 1e308 cutoff"), ("G1 H cutoff", "G2 H eta 0 rs 1e308 cutoff"),
    *(("G1 H cutoff 4 poly2", f"G20 H left {left} cutoff {rc} {core}") for left, rc in (("-1e299", "4"), ("3.9999999999999996", "4"), ("0", "1e-320"), ("1.1", "1.1000000001")) for core in ("p4a", "ea")),
    *(("G1 H cutoff 4 poly2", f"G21 H Si left -4 angle_left {a} angle_right {b} cutoff 4 {core}") for a, b in (("-1e-300", "1e-300"), ("0", "1e-320"), ("180", "180.00000000000003"), ("179.99999999999997", "180")) for core in ("p1", "e")),
    ("G1 H cutoff 4 poly2", "G1 H cutoff 4 exp alpha 0.9999999999999999"), ("G1 H cutoff 4 poly2", "G1 H cutoff 1e-308 poly2 alpha 0.99"), ("G1 H cutoff 4 poly2", "G13 eta 1e308 rs 1e308 lambda 1 zeta 1 cutoff 4 hard"),
    ("scaling center 0 1", "scaling minmax -1e308 1e308"), ("0.5 0.2\nnetwork", "0.5 1e-320\nnetwork"), ("note made", "note a b\nnote a c\nnote made")])
def test_extreme_but_legal_entries_load_and_never_give_nan(old, new):
    assert SMALL.count(old) == 1
    text = SMALL.replace(old, new)
    assert error_or_finite(text) is None
    for x in ([[0, 0, 0], [1.1, 0, 0], [0, 1.3, 0.4]], [[0, 0, 0], [1.1, 0, 0], [-1.1, 0, 0]]):
        try:
            r = parse(text).compute(Atoms("HSiH", positions=x))
        except ValueError as e:
            assert re.search("not finite|on top of each other|cutoff must be >= 1e-6", str(e))
        else:
            assert np.isfinite(r.energies).all() and np.isfinite(r.forces).all() and np.isfinite(r.virial).all()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(VALID)), st.integers(0, 40), st.binary(max_size=60))
def test_binary_noise_makes_an_error_or_a_potential(at, cut, noise):
    raw = VALID.encode()
    error_or_finite(raw[:at] + noise + raw[at + cut:])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
@example(b"")
@example(b"fastmd-potential 1")
@example(b"\xff\xfe" + "fastmd-potential 1\n".encode("utf-16-le"))
@example(b"\n" * 1000)
@example(b"\x7fELF\0\0\0")
def test_noise_alone_is_an_error(noise):
    assert error_or_finite(noise) is not None


@pytest.mark.parametrize("old, new, line, message", [
    ("fastmd-potential 1", "fastmd-potential 2", 1, "version 2 of the format; this fastmd reads version 1: update fastmd"),
    ("fastmd-potential 1", "fastmd-potential 1.5", 1, "version 1.5 of the format"),
    ("fastmd-potential 1", "fastmd-potential", 1, "expected the version, the line ends"),
    ("fastmd-potential 1", "nnp 1", 1, "not a fastmd potential file"),
    ("unit length angstrom 1", "unit length angstrom -1", 2, "the unit's size must be > 0"),
    ("unit length angstrom 1", "unit length \0 1", 2, "the unit's name: expected printable characters, got '?'"),
    ("unit length angstrom 1", "unit mass g 1", 2, "unit: expected one of length, energy, got 'mass'"),
    ("element H offset -0.5", "element H2 offset 1", 4, "'H2' is no element symbol"),
    ("element H offset -0.5", "element Qq offset 1", 4, "'Qq' is no element symbol"),
    ("element H offset -0.5", "element h offset 1", 4, "'h' is no element symbol"),
    ("element H offset -0.5", "element H offset nan", 4, "offset: expected a finite number, got 'nan'"),
    ("element Si offset 1", "element H offset 1", 5, "element H stands twice"),
    ("scaling center 0 1", "scaling centre 0 1", 6, "scaling: expected one of none, minmax, center"),
    ("scaling center 0 1", "scaling center 1 1", 6, "the upper end must be above the lower"),
    ("scaling center 0 1", "scaling center 0 1 2", 6, "more on the line than expected: '2'"),
    ("scaling center 0 1", "scaling minmax 0 1 # with no spread", None, None),
    ("functions Si 1", "functions Si 999999999", 10, "number of functions: expected a whole number from 0 to 1000000"),
    ("functions Si 1", "functions Si 1000000", 12, "symmetry function: expected one of G1, G2, G3, G4, G5, G12, G13, G20, G21, G22, G23, G24, G25, got 'network'"),
    ("functions Si 1", "functions Si -1", 10, "number of functions: expected a whole number"),
    ("functions Si 1", "functions Si 0", 11, "unknown keyword 'G2'"),
    ("functions Si 1", "functions C 1", 10, "functions: element 'C' has no line 'element' above"),
    ("functions Si 1", "functions H 1", 10, "the functions of H stand twice"),
    ("G1 H cutoff 4", "G1 C cutoff 4", 8, "neighbour element: element 'C' has no line"),
    ("G1 H cutoff 4", "G7 H cutoff 4", 8, "symmetry function: expected one of"),
    ("G1 H cutoff 4", "G1 H cutoff 0", 8, "cutoff must be > 0"),
    ("G1 H cutoff 4", "G1 H cutoff inf", 8, "cutoff: expected a finite number, got 'inf'"),
    ("G1 H cutoff 4 poly2", "G1 H cutoff 4 poly5", 8, "cutoff type: expected one of hard, cosine, tanh3, tanh3n, exp, poly1, poly2, poly3, poly4, got 'poly5'"),
    ("G1 H cutoff 4 poly2", "G1 H cutoff 4 poly2 alpha 1", 8, "alpha must be >= 0 and < 1, got 1"),
    ("G1 H cutoff 4 poly2", "G1 H cutoff 4 poly2 alpha -0.1", 8, "alpha must be >= 0 and < 1, got -0.1"),
    ("G1 H cutoff 4 poly2", "G1 H cutoff 4 poly2 alpha", 8, "alpha: expected a finite number, got 'stats'"),
    ("G1 H cutoff 4 poly2", "G1 H cutoff 4 poly2 beta 1", 8, "expected 'stats', got 'beta'"),
    ("G1 H cutoff 4 poly2", "G12 H eta 1 rs 0 cutoff 4 poly2", 8, "expected 'eta', got 'H'"),
    ("G1 H cutoff 4 poly2", "G13 eta 1 lambda 1 zeta 1 cutoff 4 poly2", 8, "expected 'rs', got 'lambda'"),
    ("G1 H cutoff 4 poly2", "G20 H left -1 cutoff 4 poly2", 8, "core of a compact function: expected one of p1, p2, p3, p4, e, p1a, p2a, p3a, p4a, ea, got 'poly2'"),
    ("G1 H cutoff 4 poly2", "G20 H left 0 cutoff 4 p2 alpha 0.1", 8, "expected 'stats', got 'alpha'"),
    ("G1 H cutoff 4 poly2", "G23 left 4 cutoff 4 p2", 8, "left must be below the cutoff of 4, got 4"),
    ("G1 H cutoff 4 poly2", "G22 H H left 0 angle_left 90 angle_right 80 cutoff 4 p2", 8, "angle_left and angle_right: expected 0 <= left < right <= 180 degrees, or a window about 0 or about 180, got 90 and 80"),
    ("G1 H cutoff 4 poly2", "G21 H H left 0 angle_left -90 angle_right 80 cutoff 4 p2", 8, "got -90 and 80"),
    ("G1 H cutoff 4 poly2", "G25 left 0 angle_left 100 angle_right 190 cutoff 4 p2", 8, "got 100 and 190"),
    ("G1 H cutoff 4 poly2", "G24 left 0 angle_left -170 angle_right 530 cutoff 4 p2", 8, "got -170 and 530"),
    ("zeta 2", "zeta 0.5", 9, "zeta must be >= 1"),
    ("zeta 2", "", 9, "expected 'zeta', got 'cutoff'"),
    ("G2 Si eta 0.1", "G2 Si eta -0.1", 11, "eta must be >= 0"),
    (" stats 0 1 0.5 0.2\nG4", "\nG4", 9, "either all functions of an element have 'stats' or none"),
    ("tanh3 stats 0 1 0.5 0.2", "tanh3", 11, "scaling needs 'stats' for each function"),
    ("tanh3 stats 0 1 0.5 0.2", "tanh3 stats 0 1 0.5", 11, "expected sigma, the line ends"),
    ("network H 2", "network H 1001", 12, "number of layers: expected a whole number from 1 to 1000"),
    ("network H 2", "network H 3", 18, "expected 'layer', got 'network'"),
    ("network Si 1", "network H 1", 18, "the network of H stands twice"),
    ("layer 2 2 tanh", "layer 1000000 1000000 tanh", 13, "layer 1 of H has 1000000 inputs, what comes before it gives 2"),
    ("layer 2 2 tanh", "layer 1000000 2 tanh", 13, "the file is too short for a layer of 1000000 x 2 weights"),
    ("layer 2 2 tanh", "layer 2 3 tanh", 13, "layer 1 of H has 3 inputs"),
    ("layer 2 2 tanh", "layer 2 2 relu6", 13, "activation: expected one of identity, tanh, sigmoid, relu, softplus, gaussian, cos, revlogistic, exp, harmonic, got 'relu6'"),
    ("layer 1 2 identity\n1 2 3", "layer 2 2 identity\n1 2 3\n1 2 3", 16, "the last layer of H must have 1 output, it has 2"),
    ("0.1 0.2 0.3", "0.1 0.2", 14, "expected bias, the line ends"),
    ("0.1 0.2 0.3", "0.1 0.2 0.3 0.4", 14, "more on the line than expected: '0.4'"),
    ("0.1 0.2 0.3", "0.1 1e999 0.3", 14, "weight: expected a finite number, got '1e999'"),
    ("network Si 1\nlayer 1 1 softplus\n1 0\n", "", None, "some elements have a network and some have none"),
    ("note made", "remark made", 21, "unknown keyword 'remark'"),
    ("\nend\n", "\n", None, "it is truncated"),
    ("\nend\n", "\nend\nmore\n", 23, "text after the line 'end'"),
    ("\nend\n", "\nend now\n", None, None)])
def test_a_mistake_is_named_with_its_file_and_line(old, new, line, message):
    assert SMALL.count(old) == 1
    text = SMALL.replace(old, new)
    if message is None:
        error_or_finite(text)
        return
    with pytest.raises(ValueError) as e:
        parse(text)
    assert str(e.value).startswith(f"some.nnp:{'' if line is None else f'{line}: '}"), e.value
    assert message in str(e.value)


@pytest.mark.parametrize("kind, stats, message", [("minmax", "1 1 1 1", "max must be above min"), ("center-minmax", "2 1 1 1", "max must be above min"), ("sigma", "0 1 0.5 0", "sigma must be > 0")])
def test_statistics_that_would_divide_by_zero_are_an_error_at_their_function(kind, stats, message):
    text = SMALL.replace("scaling center", f"scaling {kind}").replace("tanh3 stats 0 1 0.5 0.2", f"tanh3 stats {stats}")
    with pytest.raises(ValueError, match=rf"some\.nnp:11: {message}"):
        parse(text)


@pytest.mark.parametrize("text", [SMALL.replace("\n", "\r\n"), SMALL.replace(" ", "\t").replace("note\tmade\t", "note made "), SMALL.replace("\n", "   # said\n").replace("comment   # said", "comment"),
                                  "# first\n\n" + SMALL.replace("\n", "\n\n"), SMALL.rstrip("\n"), SMALL + "\n  # the end\n\n"])
def test_blanks_comments_and_line_ends_do_not_matter(text):
    p = parse(text)
    assert p.text().replace(parse(SMALL).notes["made"], "") == parse(SMALL).text().replace(parse(SMALL).notes["made"], "")


def test_messages_never_carry_raw_bytes_or_long_lines():
    message = error_or_finite(b"fastmd-potential 1\n" + b"\x1b[31m\xff" * 100)
    assert message.isascii() and message.isprintable() and len(message) < 120


@pytest.mark.plain_core
def test_a_million_lying_counts_cost_no_memory():
    code = ("import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30,) * 2)\nfrom fastmd import NNPotential\nimport sys\n"
            "text = sys.stdin.read()\n"
            "for a, b in (('functions Si 1', 'functions Si 1000000'), ('layer 2 2 tanh', 'layer 1000000 2 tanh'), ('layer 1 1 softplus', 'layer 1000000 1000000 tanh'), ('network H 2', 'network H 1000')):\n"
            "    assert a in text\n"
            "    try:\n        NNPotential._parse(text.replace(a, b).encode(), 'x')\n    except ValueError as e:\n        print(e)\n")
    run = subprocess.run([sys.executable, "-c", code], input=SMALL, capture_output=True, text=True, timeout=60, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert run.returncode == 0 and run.stdout.count("\n") == 4, run.stderr


def test_a_locale_with_decimal_commas_changes_nothing():
    old = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
            break
        except locale.Error:
            continue
    else:
        pytest.skip("no locale with a decimal comma is installed here")
    try:
        assert parse(VALID).text() == VALID
    finally:
        locale.setlocale(locale.LC_NUMERIC, old)


# ---- on disk

def test_a_file_that_is_not_there_or_cannot_be_read_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="nothing.nnp: cannot be read .No such file"):
        NNPotential.load(tmp_path / "nothing.nnp")
    with pytest.raises(ValueError, match="cannot be read .Is a directory"):
        NNPotential.load(tmp_path)
    with pytest.raises(ValueError, match="nothing.nnp: cannot be read"):
        fastmd.Calculator(tmp_path / "nothing.nnp")


def test_errors_of_a_file_on_disk_name_its_path(tmp_path):
    path = tmp_path / "my potential é.nnp"
    path.write_text(SMALL.replace("zeta 2", "zeta 0"))
    with pytest.raises(ValueError) as e:
        NNPotential.load(path)
    assert str(e.value).startswith(f"{path}:9: zeta must be >= 1")


def test_a_file_of_functions_alone_is_no_potential():
    text = SMALL[:SMALL.index("network H")] + "end\n"
    with pytest.raises(ValueError, match="some.nnp: holds symmetry functions only, no network"):
        parse(text)


def test_a_potential_saved_over_another_replaces_it_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "p.nnp"
    parse(SMALL).save(path)
    parse(VALID).save(path)
    assert path.read_text() == VALID and [f.name for f in tmp_path.iterdir()] == ["p.nnp"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_failed_save_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "p.nnp"
    parse(SMALL).save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match="p.nnp: cannot be written .No space left on device.; choose another place"):
        parse(VALID).save(path)
    assert path.read_bytes() == before and [f.name for f in tmp_path.iterdir()] == ["p.nnp"]


def test_an_unwritable_place_is_a_clear_error(tmp_path):
    p = parse(SMALL)
    with pytest.raises(ValueError, match="cannot be written"):
        p.save(tmp_path / "no such folder" / "p.nnp")
    (tmp_path / "folder.nnp").mkdir()
    with pytest.raises(ValueError, match="cannot be written"):
        p.save(tmp_path / "folder.nnp")
    assert [f.name for f in tmp_path.iterdir()] == ["folder.nnp"]
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(ValueError, match="Permission denied"):
            p.save(tmp_path / "p.nnp")
        tmp_path.chmod(0o700)


def test_notes_survive_whatever_is_in_them():
    p = NNPotential({"H": [G1("H", 3.0)]}, {"H": Network.random(1)}, notes={"a": "line\nbreak\tand # hash", "b": "", "é": "ü 漢", "end": "end", "c": "  spaced  "})
    q = parse(p.text())
    assert q.notes == p.notes == {"a": "line break and # hash", "b": "", "é": "ü 漢", "end": "end", "c": "spaced"}
    assert q.text() == p.text()


@pytest.mark.parametrize("bad", ["two words", "", "line\nbreak"])
def test_unit_names_and_note_keys_that_would_break_the_file_are_refused(bad):
    with pytest.raises(ValueError):
        NNPotential({"H": [G1("H", 3.0)]}, {"H": Network.random(1)}, notes={bad: "x"})
    with pytest.raises(ValueError):
        NNPotential({"H": [G1("H", 3.0)]}, {"H": Network.random(1)}, units=(bad, 1.0, "eV", 1.0))


def test_core_refuses_arrays_that_do_not_belong_together():
    core = _core.Core(SMALL.encode(), "here")
    two = dict(species=np.zeros(2, np.int32), first=np.array([0, 1, 2]), j=np.array([1, 0], np.int32))

    def compute(**changes):
        arguments = {**two, "x": np.array([[0.0, 0, 0], [1, 0, 0]]), "cell": np.eye(3), **changes}
        return core.compute(_core.System(**arguments))

    assert np.isfinite(compute())
    for changes, message in [(dict(species=np.array([0, 2], np.int32)), "species: atom 1 has number 2"), (dict(species=np.array([-2, 0], np.int32)), "species: atom 0"),
                             (dict(j=np.array([1, 2], np.int32)), "j: edge 1 names atom 2 of 2"), (dict(j=np.array([-1, 0], np.int32)), "j: edge 0"),
                             (dict(first=np.array([0, 3, 2])), "first: must not decrease"), (dict(j=np.array([1], np.int32)), "j has 1 entries, first says 2"),
                             (dict(x=np.array([[0.0, 0, 0], [np.nan, 0, 0]])), "x: entry 3 is not a finite number"), (dict(x=None), "neither x nor d"),
                             (dict(x=np.zeros((3, 3))), "positions: shape"), (dict(shift=np.zeros((1, 3), np.int32)), "shift has shape"),
                             (dict(cell=np.zeros((2, 3))), "cell: shape"), (dict(d=np.zeros((1, 3))), "d: shape"), (dict(d=np.full((2, 3), np.inf)), "d: entry 0")]:
        with pytest.raises(ValueError, match=message):
            compute(**changes)
