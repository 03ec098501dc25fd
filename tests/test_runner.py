"""The files of RuNNer and n2p2: the same energies as n2p2 computes, the same files again, and one clear error for whatever is wrong in them."""

import dataclasses
import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastmd
import oracle
from fastmd import runner
from fastmd.cli import main
from fastmd.symmetry import Descriptor
from structures import random_structure

NATIVE = {"length": "angstrom", "energy": "eV"}  # factors of 1: the numbers of the files as they are
GOLDEN = {"H2O_RPBE-D3": 5, "H2O_BLYP": 4, "Cu2S_PBE": 4, "Ethylbenzene_SCAN": 3, "Si_bench_wide": 1, "Si_bench_narrow": 1}
CONFIGURATIONS = [(name, k) for name, n in GOLDEN.items() for k in range(n)]


# ---- the reference: n2p2's own numbers

def golden(test_data, name, k):
    """(potential in native units, Atoms, what n2p2 says)"""
    folder = test_data / "golden" / name
    data = np.load(folder / f"config{k:02d}.npz")
    cell = data["cell"] if len(data["cell"]) else np.zeros((3, 3))
    return folder, Atoms(list(map(str, data["elements"])), data["positions"], cell=cell, pbc=data["pbc"]), data


@pytest.mark.parametrize("name, k", CONFIGURATIONS)
def test_energy_forces_and_functions_are_those_of_n2p2(test_data, name, k):
    folder, atoms, data = golden(test_data, name, k)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # every keyword in there is known
        p = fastmd.NNPotential.from_runner(folder, **NATIVE)
    found = p.compute(atoms)
    assert found.energy == pytest.approx(float(data["energy"]), rel=1e-10)
    assert np.abs(found.forces - data["forces"]).max() < 1e-9 * np.abs(data["forces"]).max()
    G = Descriptor(p.functions).describe(atoms)
    for e in p.elements:
        rank = np.cumsum(data["elements"] == e) - 1
        raw = G[e][rank[data[f"G_atoms_{e}"]]]
        np.testing.assert_allclose(oracle.scaled(p.scaling, raw, p.statistics[e]), data[f"G_scaled_{e}"], rtol=0, atol=1e-11)
        if all(f.kind in (2, 4, 5) for f in p.functions[e]):
            np.testing.assert_allclose(raw, data[f"G_raw_{e}"], rtol=1e-11)


@pytest.mark.parametrize("name, k", [(name, 0) for name in GOLDEN])
def test_through_the_units_of_ase_it_is_the_same(test_data, name, k):
    folder, atoms, data = golden(test_data, name, k)
    atoms.set_cell(atoms.cell.array * units.Bohr, scale_atoms=False)
    atoms.positions *= units.Bohr
    found = fastmd.NNPotential.from_runner(folder).compute(atoms)
    assert found.energy == pytest.approx(float(data["energy"]) * units.Hartree, rel=1e-8)
    assert np.abs(found.forces - data["forces"] * units.Hartree / units.Bohr).max() < 1e-8 * np.abs(data["forces"]).max() * units.Hartree / units.Bohr


@pytest.mark.parametrize("name", GOLDEN)
def test_a_published_folder_goes_through_nnp_and_back_to_the_last_bit(test_data, tmp_path, name):
    folder, atoms, _ = golden(test_data, name, 1 if GOLDEN[name] > 3 else 0)
    first = fastmd.NNPotential.from_runner(folder)
    first.save(tmp_path / "first.nnp")
    second = fastmd.NNPotential.load(tmp_path / "first.nnp")
    second.to_runner(tmp_path / "folder")
    third = fastmd.NNPotential.from_runner(tmp_path / "folder")
    assert same(first, third)
    if GOLDEN[name] > 3:  # the others take long
        assert first.compute(atoms).energy == second.compute(atoms).energy == third.compute(atoms).energy


def same(a, b):
    """Equal in everything but the notes?"""
    def bare(p):
        return [line for line in p.text().splitlines() if not line.startswith("note ")]
    return bare(a) == bare(b)


def test_the_ranges_of_scaling_data_are_those_of_the_extrapolation_check(test_data):
    folder, atoms, _ = golden(test_data, "H2O_RPBE-D3", 1)
    p = fastmd.NNPotential.from_runner(folder, **NATIVE)
    assert not fastmd.outside_range(p, atoms)
    atoms.set_cell(atoms.cell.array * 0.8, scale_atoms=True)
    outside = fastmd.outside_range(p, atoms)
    line = (folder / "scaling.data").read_text().splitlines()[-1].split()  # the last function of O
    assert (p.statistics["O"][-1] == [float(x) for x in line[2:]]).all()
    assert outside and all(o.value < o.low or o.value > o.high for o in outside)


# ---- a small potential, in files

INPUT = """number_of_elements 2
elements O H
cutoff_type 1
scale_symmetry_functions
center_symmetry_functions
scale_min_short -0.5
scale_max_short 1.5
global_hidden_layers_short 2
global_nodes_short 3 2
global_activation_short t p l
symfunction_short O 9 H O 0.05 1.0 2.0 5.0
symfunction_short H 2 O 0.3 0.5 5.0
symfunction_short H 2 H 0.3 0.5 5.0
symfunction_short H 3 O H 0.02 -1.0 4.0 5.0
symfunction_short O 2 H 0.1 0.0 5.0
symfunction_short O 3 H H 0.02 1 1 5.0
"""
ORDER = {"H": ["2 H", "2 O", "3 H O"], "O": ["2 H", "3 H H", "9 H O"]}  # worked out by hand from n2p2's rules
Z = {"H": 1, "O": 8}


def write(folder, text=INPUT, widths=None, seed=3, columns=True, sigma=True):
    """The text of input.nn with scaling.data and weights that fit it; widths: of the hidden layers, by element"""
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    (folder / "input.nn").write_text(text)
    counts = {e: sum(line.split()[:2] == ["symfunction_short", e] for line in text.splitlines()) for e in Z}
    lines = ["# of made-up data"]
    for k, e in enumerate(Z, 1):
        for q in range(1, counts[e] + 1):
            low = rng.normal()
            lines.append(f"{k} {q} {low!r} {low + rng.uniform(1, 2)!r} {low + rng.uniform(0.2, 0.8)!r}" + (f" {rng.uniform(0.1, 0.5)!r}" if sigma else ""))
    (folder / "scaling.data").write_text("\n".join([*lines, ""]))
    for e, z in Z.items():
        sizes = [counts[e], *(widths or {}).get(e, (3, 2)), 1]
        lines = []
        for layer, (a, b) in enumerate(zip(sizes, sizes[1:]), 1):
            for j in range(1, a + 1):
                lines += [f"a {layer - 1} {j} {layer} {k}" for k in range(1, b + 1)]
            lines += [f"b {layer} {k}" for k in range(1, b + 1)]
        rows = [(rng.normal(), *line.split(" ", 1)) for line in lines]
        (folder / f"weights.{z:03d}.data").write_text("".join(f"{v!r} {ab} {n} {rest}\n" if columns else f"{v!r}\n" for n, (v, ab, rest) in enumerate(rows, 1)))
    return folder


def n2p2(folder, atoms, widths=None, activations=None):
    """The energy as n2p2 computes it, plainly: everything in normalised units, nothing folded. Types 2, 3 and 9."""
    lines = [line.split("#")[0].split() for line in (folder / "input.nn").read_text().splitlines()]
    keys = {line[0]: line[1:] for line in lines if line}
    length, per_energy, mean = (float(keys.get(k, [d])[0]) for k, d in (("conv_length", 1), ("conv_energy", 1), ("mean_energy", 0)))
    cutoff_type = {"1": "cosine", "2": "tanh3", "6": "poly2"}[keys.get("cutoff_type", ["1"])[0]]
    functions = {e: [] for e in Z}
    for line in lines:
        if line[:1] == ["symfunction_short"]:
            e, t = line[1], int(line[2])
            near = tuple(sorted(line[3:4 if t == 2 else 5], key=Z.get))
            x = list(map(float, line[3 + len(near):]))
            if t == 2:
                f = fastmd.SymmetryFunction(2, near, x[2] * length, eta=x[0] / length**2, rs=x[1] * length, cutoff_type=cutoff_type)
            else:
                f = fastmd.SymmetryFunction({3: 4, 9: 5}[t], near, x[3] * length, eta=x[0] / length**2, lambda_=x[1], zeta=x[2], cutoff_type=cutoff_type)
            functions[e].append((f"{t} {' '.join(near)}", f))
    functions = {e: [f for want in ORDER[e] for name, f in fs if name == want] for e, fs in functions.items()}
    low, high = (float(keys.get(k, [d])[0]) for k, d in (("scale_min_short", 0), ("scale_max_short", 1)))
    scale, center, sigma = ("scale_symmetry_functions" in keys, "center_symmetry_functions" in keys, "scale_symmetry_functions_sigma" in keys)
    rows = [line.split() for line in (folder / "scaling.data").read_text().splitlines() if line[0] != "#"]
    act = {"t": np.tanh, "p": lambda x: np.log1p(np.exp(x)), "l": lambda x: x, "s": lambda x: 1 / (1 + np.exp(-x)), "r": lambda x: max(x, 0.0)}
    normalised = atoms.copy()
    normalised.positions *= length
    normalised.set_cell(atoms.cell.array * length)
    energy = 0.0
    for e, G in zip(atoms.get_chemical_symbols(), oracle.values(functions, normalised)):
        rank = 1 + list(Z).index(e)
        statistics = {int(r[1]): list(map(float, r[2:])) for r in rows if int(r[0]) == rank}
        x = []
        for k, g in enumerate(G, 1):
            lo, hi, av = statistics[k][:3]
            if scale:
                x.append(low + (high - low) * (g - (av if center else lo)) / (hi - lo))
            elif center:
                x.append(g - av)
            else:
                x.append(low + (high - low) * (g - av) / statistics[k][3] if sigma else g)
        values = iter([float(line.split()[0]) for line in (folder / f"weights.{Z[e]:03d}.data").read_text().splitlines()])
        sizes = (widths or {}).get(e, (3, 2))
        for n, a in zip((*sizes, 1), (activations or {}).get(e, keys["global_activation_short"])):
            w = [[next(values) for _ in range(n)] for _ in x]
            b = [next(values) for _ in range(n)]
            fan_in = len(x) if "normalize_nodes" in keys else 1
            x = [act[a]((sum(w[j][k] * x[j] for j in range(len(x))) + b[k]) / fan_in) for k in range(n)]
        energy += x[0]
    offsets = {line[1]: float(line[2]) for line in lines if line[:1] == ["atom_energy"]}
    return energy / per_energy + len(atoms) * mean + sum(offsets.get(e, 0.0) for e in atoms.get_chemical_symbols())


def water(n=7):
    atoms = random_structure(np.random.default_rng(5), n=n)
    return Atoms([("H", "O", "H")[k % 3] for k in range(n)], atoms.positions, cell=atoms.cell, pbc=True)


def read(folder, **kwargs):
    return fastmd.NNPotential.from_runner(folder, **(kwargs or NATIVE))


def without(text, *keys):
    return "".join(line for line in text.splitlines(True) if line.split()[0] not in keys)


@pytest.mark.parametrize("text", [
    INPUT, without(INPUT, "cutoff_type"), without(INPUT, "scale_symmetry_functions"), without(INPUT, "center_symmetry_functions"),
    without(INPUT, "center_symmetry_functions", "scale_symmetry_functions") + "scale_symmetry_functions_sigma\n",
    without(INPUT, "center_symmetry_functions", "scale_symmetry_functions"), without(INPUT, "scale_min_short", "scale_max_short"),
    INPUT + "normalize_nodes\n", INPUT + "atom_energy H -0.5\natom_energy O -75.25\n",
    INPUT + "mean_energy -2.5\nconv_energy 12.5\nconv_length 3.25\natom_energy O 2\nnormalize_nodes\n",
    INPUT.replace("t p l", "s r t") + "mean_energy -2.5\nconv_energy 12.5\nconv_length 3.25\n",
    INPUT.replace("symfunction_short", "symfunction_short  ").replace("\n", " # said\n") + "nnp_type 2G-HDNNP\nepochs 10 ! so it is\n"],
    ids=["plain", "no cutoff_type", "center", "minmax", "sigma", "none", "0 to 1", "normalize_nodes", "atom_energy", "normalised", "output not linear", "comments"])
def test_every_setting_gives_the_energy_of_the_plain_formula(tmp_path, text):
    folder = write(tmp_path / "p", text)
    assert read(folder).compute(water()).energy == pytest.approx(n2p2(folder, water()), rel=1e-12)


def test_functions_stand_in_the_order_of_n2p2(tmp_path):
    p = read(write(tmp_path / "p"))
    kind = {2: 2, 4: 3, 5: 9}
    assert {e: [f"{kind[f.kind]} {' '.join(f.elements)}" for f in fs] for e, fs in p.functions.items()} == ORDER


def test_the_order_is_that_after_the_conversion_of_lengths(tmp_path):
    """Two cutoffs that differ in their last bit only, and not any more in normalised lengths: eta decides then."""
    near = float(np.nextafter(5.0, 6))
    lines = f"symfunction_short O 2 H 0.2 0.0 5.0\nsymfunction_short O 2 H 0.1 0.0 {near!r}\n"
    text = without(INPUT, "symfunction_short") + "symfunction_short H 2 H 0.1 0.0 5.0\n" + lines
    etas = [[f.eta for f in read(write(tmp_path / name, text + more)).functions["O"]]
            for name, more in (("p", ""), ("q", "mean_energy 0\nconv_energy 1\nconv_length 0.42\n"))]
    assert 5.0 * 0.42 == near * 0.42 and etas == [[0.2, 0.1], [0.1, 0.2]]


@pytest.mark.parametrize("more, widths, activations", [
    ("element_nodes_short O 4 2\n", {"O": (4, 2)}, {}), ("element_nodes_short O 4 5\n", {"O": (4, 5)}, {}),
    ("element_nodes_short O 4 5\n", {"O": (4, 2)}, {}),  # as n2p2 of 2024 reads it
    ("element_nodes_short O 1 6\n", {"O": (6, 2)}, {}), ("element_nodes_short O 1 6\nelement_nodes_short O 2 5\n", {"O": (6, 5)}, {}),  # RuNNer
    ("element_hidden_layers_short H 1\nelement_nodes_short H 4\nelement_activation_short H s l\n", {"H": (4,)}, {"H": "sl"}),
    ("element_activation_short H r t l\n", {}, {"H": "rtl"})])
@pytest.mark.parametrize("columns", [True, False])
def test_elements_have_networks_of_their_own(tmp_path, more, widths, activations, columns):
    folder = write(tmp_path / "p", INPUT + more, widths, columns=columns)
    p = read(folder)
    assert {e: tuple(len(b) for _, b, _ in p.networks[e].layers[:-1]) for e in Z} == {"H": (3, 2), "O": (3, 2)} | widths
    assert p.compute(water()).energy == pytest.approx(n2p2(folder, water(), widths, activations), rel=1e-12)


def test_the_weights_tell_which_reading_of_the_nodes_is_meant(tmp_path):
    text = INPUT.replace("global_nodes_short 3 2", "global_nodes_short 3 1") + "element_nodes_short O 2 3\n"  # 2 and 3; 2 and 1; 3 and 3
    for widths in ((2, 3), (2, 1), (3, 3)):
        folder = write(tmp_path / "p", text, {"H": (3, 1), "O": widths})
        assert tuple(len(b) for _, b, _ in read(folder).networks["O"].layers) == (*widths, 1)


def test_files_of_older_programs_are_read(tmp_path):
    """No sigma, the energies' range at the end, values without their places."""
    folder = write(tmp_path / "p", without(INPUT, "cutoff_type"), columns=False, sigma=False)
    energy = n2p2(folder, water())
    with open(folder / "scaling.data", "a") as f:
        f.write("-1.5 -1.25\n")
    p = read(folder)
    assert p.compute(water()).energy == pytest.approx(energy, rel=1e-12)
    assert (p.statistics["H"][:, 3] == 0).all() and p.functions["H"][0].cutoff_type == "cosine"


@pytest.mark.parametrize("length, energy, sizes", [
    ("bohr", "hartree", (units.Bohr, units.Hartree)), ("Angstrom", "EV", (1, 1)), ("nm", "kcal/mol", (10, units.kcal / units.mol)),
    (0.5, 2.0, (0.5, 2)), ("bohr", "rydberg", (units.Bohr, units.Hartree / 2)), ("bohr", "kJ/mol", (units.Bohr, units.kJ / units.mol))])
def test_units_are_told_and_kept(tmp_path, length, energy, sizes):
    folder = write(tmp_path / "p")
    p = read(folder, length=length, energy=energy)
    p.save(tmp_path / "p.nnp")
    again = fastmd.NNPotential.load(tmp_path / "p.nnp")
    atoms = water()
    expected = read(folder).compute(atoms).energy * sizes[1]
    atoms.set_cell(atoms.cell.array * sizes[0], scale_atoms=True)
    assert (again.units[1], again.units[3]) == pytest.approx(sizes) and again.compute(atoms).energy == pytest.approx(expected, rel=1e-12)


def test_an_unknown_keyword_warns_with_its_line_and_training_is_silent(tmp_path):
    folder = write(tmp_path / "p", INPUT + "epochs 5\nkalman_type 0\nshort_energy_fraction 1.0\nrunner_mode 3\nmagic 7\n")
    with pytest.warns(UserWarning) as found:
        read(folder)
    assert [str(w.message) for w in found] == [f"{folder / 'input.nn'}, line {INPUT.count(chr(10)) + 5}: unknown keyword 'magic' is passed over"]


def line_of(n, old, new):
    return lambda lines: [x.replace(old, new) if k == n else x for k, x in enumerate(lines, 1)]


def plus(*more):
    return lambda lines: [*lines, *more]


@pytest.mark.parametrize("name, change, message", [
    ("input.nn", plus("nnp_type 4G-HDNNP"), "line 17: nnp_type '4G-HDNNP': fastmd computes 2G-HDNNP only"),
    ("input.nn", plus("use_electrostatics"), "line 17: use_electrostatics changes energies, and cannot be honoured"),
    ("input.nn", plus("nn_type_short 2"), "line 17: nn_type_short '2': fastmd computes atomic"),
    ("input.nn", plus("cutoff_alpha 0.5"), "line 17: cutoff_alpha changes energies.*write it as cutoff_type"),
    ("input.nn", plus("global_symfunction_short 2 1 0 5"), "line 17: global_symfunction_short changes energies.*symfunction_short line"),
    ("input.nn", plus("2.0"), "line 17: expected a keyword, got '2.0'"),
    ("input.nn", plus("elements H O"), "line 17: elements stands twice, first in line 2"),
    ("input.nn", plus("atom_energy H 1", "atom_energy H 2"), "line 18: atom_energy H stands twice, first in line 17"),
    ("input.nn", plus("atom_energy C 1"), "line 17: the element of atom_energy: expected one of H, O, got 'C'"),
    ("input.nn", plus("atom_energy H nan"), "line 17: atom_energy: expected a finite number, got 'nan'"),
    ("input.nn", plus("mean_energy 1"), "line 17: mean_energy without conv_energy, conv_length"),
    ("input.nn", plus("mean_energy 1", "conv_energy 0", "conv_length 1"), "line 18: conv_energy must be > 0"),
    ("input.nn", line_of(1, "2", "1000000000"), "line 1: number_of_elements: expected a whole number from 1 to 118, got '1000000000'"),
    ("input.nn", line_of(1, "2", "3"), "line 2: expected 4 words, got 3"),
    ("input.nn", line_of(2, "O H", "O O"), "line 2: elements: O stands twice"),
    ("input.nn", line_of(2, "O H", "O Xx"), "line 2: elements: 'Xx' is no element symbol"),
    ("input.nn", line_of(3, "1", "9"), "line 3: cutoff_type: expected a whole number from 0 to 8, got '9'"),
    ("input.nn", line_of(3, "1", "6 1.0"), "line 3: the inner radius of cutoff_type must be from 0 to below 1, got 1"),
    ("input.nn", line_of(7, "1.5", "-0.5"), "line 7: scale_max_short must be above scale_min_short"),
    ("input.nn", line_of(8, "2", "3"), "line 9: expected 4 words, got 3"),
    ("input.nn", line_of(8, "2", "-1"), "line 8: global_hidden_layers_short: expected a whole number from 0 to 1000, got '-1'"),
    ("input.nn", line_of(9, "3 2", "3 -2"), "line 9: nodes: expected a whole number"),
    ("input.nn", line_of(9, "3 2", "1000000 1000000"), "weights.001.data, line 23: holds 23 weights and biases, .*input.nn wants 1000006000001 of 3-1000000-1000000-1"),
    ("input.nn", line_of(10, "t p l", "t p q"), "line 10: activation: expected one of l, t, s, p"),
    ("input.nn", line_of(11, " 9 ", " 7 "), "line 11: type 7 of symmetry function: fastmd has 2, 3, 9"),
    ("input.nn", line_of(11, "1.0 2.0", "1.0"), "line 11: expected 9 or 10 words, got 8"),
    ("input.nn", line_of(11, "0.05", "-0.05"), "line 11: eta must be"),
    ("input.nn", line_of(11, "5.0", "0"), "line 11: cutoff must be"),
    ("input.nn", line_of(12, "2 O", "2 C"), "line 12: neighbour element: expected one of H, O, got 'C'"),
    ("input.nn", lambda lines: lines[:10] + lines[11:15:4], "input.nn: there is no line symfunction_short for O"),
    ("input.nn", lambda lines: lines[1:], "input.nn: there is no line number_of_elements"),
    ("input.nn", lambda lines: lines[:9] + lines[10:], "there is no line global_activation_short for the 2 hidden layers of H"),
    ("input.nn", lambda lines: lines[:7] + lines[8:], "there is no line global_hidden_layers_short, and none for H"),
    ("input.nn", lambda lines: lines[:8] + lines[9:], "there is no line global_nodes_short"),
    ("input.nn", lambda lines: lines[:-1], "scaling.data, line 7: holds 6 functions, .*input.nn has 5"),
    ("input.nn", plus("element_hidden_layers_short H 1"), "H has its own number of hidden layers; there is no line element_nodes_short H"),
    ("input.nn", plus("element_nodes_short H 1 2 3"), "line 17: element_nodes_short H: expected one line with the nodes of 2 hidden layers"),
    ("input.nn", plus("element_nodes_short H"), "line 17: element_nodes_short: expected an element and values"),
    ("input.nn", plus("element_activation_short H t t t"), "line 17: the output of H is t here, and another in global_activation_short"),
    ("input.nn", plus("element_activation_short H 1 2 t"), "line 17: activations of single nodes"),
    ("scaling.data", lambda lines: lines[:-1], "scaling.data, line 6: holds 5 functions, .*input.nn has 6"),
    ("scaling.data", lambda lines: lines[:3] + lines[4:], "scaling.data, line 6: holds 5"),
    ("scaling.data", lambda lines: lines[:1] + lines[1:][::-1], "scaling.data, line 2: expected function 1 of element 1 .H., got 3 of 2"),
    ("scaling.data", line_of(3, "1 2", "1 3"), "line 3: expected function 2 of element 1 .H., got 3 of 1"),
    ("scaling.data", line_of(3, "1 2", "2 2"), "line 3: expected function 2 of element 1 .H., got 2 of 2"),
    ("scaling.data", lambda lines: [*lines[:2], "1 2 1 0 0.5 0.1", *lines[3:]], "line 3: min 1 is above max 0"),
    ("scaling.data", lambda lines: [*lines[:2], "1 2 1 1 1 0", *lines[3:]], "line 3: the function does not vary .max - min is 0."),
    ("scaling.data", lambda lines: [*lines[:2], "1 2 0 1 0.5 -1", *lines[3:]], "line 3: sigma -1 is below 0"),
    ("scaling.data", lambda lines: [*lines[:2], "1 2 0 inf 0.5 1", *lines[3:]], "line 3: max: expected a finite number, got 'inf'"),
    ("scaling.data", lambda lines: [*lines[:2], "1 2 0 1_0 0.5 1", *lines[3:]], "line 3: max: expected a finite number, got '1_0'"),
    ("scaling.data", lambda lines: [], "scaling.data, line 1: holds 0 functions"),
    ("weights.008.data", lambda lines: lines[:-1], "weights.008.data, line 22: holds 22 weights and biases, .*input.nn wants 23 of 3-3-2-1"),
    ("weights.008.data", lambda lines: [lines[1], lines[0], *lines[2:]], "line 1: expected the value of 'a 1 0 1 1 1' .weight, .*, got 'a 2 0 1 1 2'"),
    ("weights.008.data", lambda lines: [*lines[:4], "1e999 " + lines[4].split(" ", 1)[1], *lines[5:]], "line 5: weight: expected a finite number, got '1e999'"),
    ("weights.008.data", lambda lines: [*lines[:4], "0.5", *lines[5:]], "line 5: expected 5 words, got 1"),
    ("weights.008.data", lambda lines: [], "weights.008.data: holds no weights")])
def test_what_is_wrong_in_a_file_is_said_with_file_and_line(tmp_path, name, change, message):
    folder = write(tmp_path / "p")
    path = folder / name
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))
    with pytest.raises(ValueError, match=message):
        read(folder)


def test_what_is_wrong_with_files_and_arguments_is_said(tmp_path):
    folder = write(tmp_path / "p")
    for name in ("input.nn", "scaling.data", "weights.001.data"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(kept[:-1])
        with pytest.raises(ValueError, match=f"{name}, line .*: ends without a newline, so the file is truncated"):
            read(folder)
        (folder / name).unlink()
        with pytest.raises(ValueError, match=f"{name}: there is no such file"):
            read(folder)
        with open(folder / name, "wb") as f:
            f.truncate(runner._LARGEST + 1)
        with pytest.raises(ValueError, match=f"{name}: larger than 256 MiB"):
            read(folder)
        (folder / name).write_bytes(kept)
    with pytest.raises(ValueError, match="expected a folder with input.nn"):
        read(folder / "input.nn")
    with pytest.raises(ValueError, match="folder: expected the name of a file"):
        read(3)
    with pytest.raises(ValueError, match="length: expected one of bohr, angstrom, nm, or its size in angstrom, got 'inch'"):
        read(folder, length="inch")
    with pytest.raises(ValueError, match="energy: expected one of hartree, eV, .*, or its size in eV, got -1"):
        read(folder, energy=-1)
    huge = write(tmp_path / "q", INPUT + "mean_energy 0\nconv_energy 1e-99\nconv_length 1\n")
    path = huge / "weights.001.data"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], "1e300 " + lines[-1].split(" ", 1)[1], ""]))
    with pytest.raises(ValueError, match="weights.001.data: .*must be finite"):
        read(huge)
    text = "".join(line for line in INPUT.replace("nodes_short 3 2", "nodes_short 3 1").splitlines(True) if "_short O 3" not in line and "_short O 9" not in line)
    folder = write(tmp_path / "r", text + "element_nodes_short O 1 6\n", {"H": (3, 1), "O": (6, 1)}, columns=False)
    with pytest.raises(ValueError, match="weights.008.data: its 21 values fit 1-1-6-1 and 1-6-1-1; say which with element_nodes_short O"):
        read(folder)


def test_without_scaling_the_ranges_may_be_missing(tmp_path):
    folder = write(tmp_path / "p", without(INPUT, "center_symmetry_functions", "scale_symmetry_functions"))
    with_ranges = read(folder)
    (folder / "scaling.data").unlink()
    p = read(folder)
    assert p.statistics is None and with_ranges.statistics is not None and p.compute(water()).energy == with_ranges.compute(water()).energy
    with pytest.raises(ValueError, match="to_runner: scaling.data wants min, max"):
        p.to_runner(tmp_path / "q")


TYPES = {  # a line, and the function it stands for; in n2p2's order, worked out by hand from its rules
    "2 H 0.1 0.5 5": lambda: fastmd.G2("H", 5, 0.1, 0.5, "poly1", 0.2), "2 O 0.1 0.5 5": lambda: fastmd.G2("O", 5, 0.1, 0.5, "poly1", 0.2),
    "3 O H 0.1 -1 2 5": lambda: fastmd.G4("H", "O", 5, 0.1, -1, 2, "poly1", alpha=0.2),
    "3 H H 0.1 1 2 5 0.75": lambda: fastmd.G4("H", "H", 5, 0.1, 1, 2, "poly1", rs=0.75, alpha=0.2),
    "9 O H 0.1 -1 1.5 4": lambda: fastmd.G5("H", "O", 4, 0.1, -1, 1.5, "poly1", alpha=0.2),
    "9 O H 0.1 0.5 1.5 4": lambda: fastmd.G5("H", "O", 4, 0.1, 0.5, 1.5, "poly1", alpha=0.2),
    "9 O O 0.1 -1 1 5": lambda: fastmd.G5("O", "O", 5, 0.1, -1, 1, "poly1", alpha=0.2),
    "12 0.05 0.5 5": lambda: fastmd.G12(5, 0.05, 0.5, "poly1", alpha=0.2), "12 0.1 0.25 5": lambda: fastmd.G12(5, 0.1, 0.25, "poly1", alpha=0.2),
    "13 0.05 0.5 -1 4 5": lambda: fastmd.G13(5, 0.05, -1, 4, 0.5, "poly1", 0.2), "13 0.1 0.25 1 1 5": lambda: fastmd.G13(5, 0.1, 1, 1, 0.25, "poly1", 0.2),
    "20 O -1 3 p1a": lambda: fastmd.G20("O", 3, -1, "p1a"), "20 H 1 5 p2": lambda: fastmd.G20("H", 5, 1, "p2"), "20 O -5 3 p2": lambda: fastmd.G20("O", 3, -5, "p2"),
    "21 O H 0 4 20 100 e": lambda: fastmd.G21("H", "O", 4, 0, 20, 100, "e"),
    "22 O H 0 5 30 100 p4a": lambda: fastmd.G22("H", "O", 5, 0, 30, 100, "p4a"), "22 O O 0 4 30 100 p4a": lambda: fastmd.G22("O", "O", 4, 0, 30, 100, "p4a"),
    "22 O O 0 5 20 100 p4a": lambda: fastmd.G22("O", "O", 5, 0, 20, 100, "p4a"), "22 O O 0 5 20 120 p4a": lambda: fastmd.G22("O", "O", 5, 0, 20, 120, "p4a"),
    "23 -2 5 p3": lambda: fastmd.G23(5, -2, "p3"), "24 0.5 5 10 170 ea": lambda: fastmd.G24(5, 0.5, 10, 170, "ea"), "25 0.5 5 0 180 p2": lambda: fastmd.G25(5, 0.5, 0, 180, "p2")}


@pytest.mark.parametrize("cutoff, name, alpha", [("5 0.2", "poly1", 0.2)] + [(f"{k} 0.3", name, 0 if k in (0, 2, 3) else 0.3) for k, name in
                         enumerate(("hard", "cosine", "tanh3", "tanh3n", "exp", "poly1", "poly2", "poly3", "poly4"))] + [("6", "poly2", 0)])
def test_every_type_of_function_with_every_cutoff(tmp_path, cutoff, name, alpha):
    """Read from lines in another order; sorted, written and read again."""
    lines = np.random.default_rng(1).permutation(list(TYPES))
    text = without(INPUT, "symfunction_short", "cutoff_type") + f"cutoff_type {cutoff}\nsymfunction_short H 2 O 0.1 0 5\n" + "".join(f"symfunction_short O {x}\n" for x in lines)
    p = read(write(tmp_path / "p", text))
    expected = [f() for f in TYPES.values()]
    assert p.functions["O"] == [f if f.kind >= 20 else dataclasses.replace(f, cutoff_type=name, alpha=alpha) for f in expected]
    p.to_runner(tmp_path / "q")
    again = read(tmp_path / "q")
    assert same(p, again) and p.compute(water()).energy == again.compute(water()).energy


@pytest.mark.parametrize("letter", "ltsprgcSeh")
def test_every_activation_goes_in_and_out(tmp_path, letter):
    p = read(write(tmp_path / "p", INPUT.replace("t p l", f"{letter} t {letter}") + "mean_energy 1\nconv_energy 2\nconv_length 3\n"))
    x = np.array([[0.3, -0.2, 0.7], [-1.5, 0.1, 0.4]])
    formula = {"l": lambda x: x, "t": np.tanh, "s": lambda x: 1 / (1 + np.exp(-x)), "p": lambda x: np.log(1 + np.exp(x)), "r": lambda x: np.maximum(x, 0),
               "g": lambda x: np.exp(-x**2 / 2), "c": np.cos, "S": lambda x: 1 - 1 / (1 + np.exp(-x)), "e": lambda x: np.exp(-x), "h": lambda x: x**2}[letter]
    layers = [(np.loadtxt(tmp_path / "p" / "weights.008.data", usecols=0)[a:b], n) for a, b, n in ((0, 12, 3), (12, 20, 2), (20, 23, 1))]
    y = x
    for (w, n), f in zip(layers, (formula, np.tanh, formula)):
        y = f(y @ w[:-n].reshape(-1, n) + w[-n:])
    np.testing.assert_allclose(p.networks["O"].evaluate(x)[0], y[:, 0] / 2, rtol=1e-13)
    p.to_runner(tmp_path / "q")
    assert same(p, read(tmp_path / "q"))


@pytest.mark.parametrize("line, message", [
    ("20 H 0 5 q2", "line 17: cutoff_type must be one of"), ("20 H 5 4 p2", "line 17: left must be below"), ("22 H H 0 5 100 20 p2", "line 17: angle_left and angle_right"),
    ("20 H 0 5", "line 17: expected 7 words, got 6"), ("12 0.1 5", "line 17: expected 6 words, got 5"), ("2 H 1 0 5 0", "line 17: expected 7 words, got 8")])
def test_a_function_that_cannot_be_is_refused_with_its_line(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path / "p", INPUT + f"symfunction_short H {line}\n"))


# ---- out

def made(functions=None, elements=("O", "H"), activation="tanh", scaling=("center-minmax", -1, 1), hidden=(4, 3), **kwargs):
    """A potential whose elements and functions stand in another order than n2p2's"""
    rng = np.random.default_rng(8)
    functions = functions or {e: [fastmd.G5("H", "O", 5, 0.03, 1, 2, "tanh3"), fastmd.G4("O", "H", 5, 0.01, -1, 1.5, "tanh3"),
                                  fastmd.G2("O", 5, 0.2, 0.3, "tanh3"), fastmd.G2("H", 4.5, 0.7, 0, "tanh3")] for e in elements}
    low = {e: rng.normal(size=len(fs)) for e, fs in functions.items()}
    statistics = {e: np.column_stack([a, a + 1.5, a + rng.uniform(size=len(a)), np.full(len(a), 0.3)]) for e, a in low.items()}
    networks = {e: fastmd.Network.random(len(fs), hidden, activation, rng=rng) for e, fs in functions.items()}
    return fastmd.NNPotential(functions, networks, scaling, statistics, {"O": -75.1}, **({"notes": {"made": "up"}} | kwargs))


@pytest.mark.parametrize("scaling", [("none", 0, 1), ("minmax", -1, 1), ("center", 0, 1), ("center-minmax", 0, 2), ("sigma", 0, 1)])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "relu", "identity"])
def test_a_potential_of_fastmd_goes_out_and_comes_back(tmp_path, scaling, activation):
    p = made(scaling=scaling, activation=activation)
    p.to_runner(tmp_path / "out")
    back = read(tmp_path / "out")
    assert back.compute(water()).energy == pytest.approx(p.compute(water()).energy, rel=1e-14)  # sums in another order
    back.to_runner(tmp_path / "again")
    again = read(tmp_path / "again")
    assert same(back, again) and again.compute(water()).energy == back.compute(water()).energy
    for name in ("scaling.data", "weights.001.data", "weights.008.data", "input.nn"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    if scaling[0] == "center-minmax":
        atoms = water()
        assert all(f.cutoff_type == "tanh3" for f in back.functions["H"]) and list(back.functions) == ["H", "O"]
        assert len(fastmd.outside_range(back, atoms)) == len(fastmd.outside_range(p, atoms))


def test_units_and_networks_of_their_own_come_back(tmp_path):
    p = made(units=("bohr", units.Bohr, "hartree", units.Hartree))
    p.networks["H"] = fastmd.Network.random(4, (5, 3), "softplus", rng=2)
    p.networks["O"] = fastmd.Network(fastmd.Network.random(4, (2, 3), rng=2).layers[:-1] + ((np.ones((1, 3)), [0.5], "tanh"),))
    p.networks["H"] = fastmd.Network(p.networks["H"].layers[:-1] + ((np.ones((1, 3)), [0.5], "tanh"),))
    p = fastmd.NNPotential._parse(p.text().encode(), "text")
    p.to_runner(tmp_path / "out")
    back = fastmd.NNPotential.from_runner(tmp_path / "out")
    assert back.units == p.units and back.compute(water()).energy == pytest.approx(p.compute(water()).energy, rel=1e-14)
    back.to_runner(tmp_path / "again")
    assert same(back, fastmd.NNPotential.from_runner(tmp_path / "again"))
    text = (tmp_path / "out" / "input.nn").read_text()
    assert "lengths in bohr (0.5291772105638411 angstrom), energies in hartree" in text and "cflength 1.8897" in text and "cfenergy 0.036749" in text


@pytest.mark.parametrize("hidden", [(), (3,), (4, 5)])
def test_hidden_layers_that_n2p2_would_misread_warn(tmp_path, hidden):
    p = made(hidden=(4, 3))
    p.networks["O"] = fastmd.Network.random(4, hidden, rng=3)
    p = fastmd.NNPotential._parse(p.text().encode(), "text")
    with pytest.warns(UserWarning, match="the last hidden layers of H and O differ; n2p2 as of 2024"):
        p.to_runner(tmp_path / "out")
    assert read(tmp_path / "out").compute(water()).energy == pytest.approx(p.compute(water()).energy, rel=1e-14)


def test_what_the_files_cannot_hold_is_refused(tmp_path):
    g2 = fastmd.G2("H", 5, 0.1, 0, "cosine")
    for functions, message in (({"H": [fastmd.G3("H", 5, 0.1)]}, r"cannot hold G3 H kappa 0.1 cutoff 5.0 poly2 of H: use G2, G4, G5"),
                               ({"H": [fastmd.G1("H", 5)]}, "cannot hold G1 .*a G2 with eta 0 is a G1"),
                               ({"H": [g2, fastmd.G2("H", 5, 0.1, 0, "poly2")]}, r"one cutoff_type for all functions, the potential has cosine \(alpha 0\), poly2"),
                               ({"X": [fastmd.G2("X", 5, 0.1, 0)]}, "cannot hold the element X")):
        p = made_one(functions)
        with pytest.raises(ValueError, match=message):
            p.to_runner(tmp_path / "out")
    p = made()
    p.networks["O"] = fastmd.Network(p.networks["O"].layers[:-1] + ((*p.networks["O"].layers[-1][:2], "tanh"),))
    with pytest.raises(ValueError, match="the outputs of H and O have different activations; n2p2 takes the one of global"):
        p.to_runner(tmp_path / "out")
    p = made_one({"H": [g2]}, repulsion=fastmd.Repulsion({("H", "H"): fastmd.ZBL(0.5, 1.0)}))
    with pytest.raises(ValueError, match="cannot hold a repulsion"):
        p.to_runner(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def made_one(functions, **kwargs):
    statistics = {e: np.tile([0.0, 1, 0.5, 0.1], (len(fs), 1)) for e, fs in functions.items()}
    return fastmd.NNPotential(functions, {e: fastmd.Network.random(len(fs), (2,), rng=1) for e, fs in functions.items()}, ("center", 0, 1), statistics, **kwargs)


def test_only_a_folder_of_fastmd_is_written_over(tmp_path):
    p = made()
    theirs = write(tmp_path / "theirs")
    before = (theirs / "input.nn").read_bytes()
    with pytest.raises(ValueError, match="input.nn: is there, and fastmd did not write it; choose another folder"):
        p.to_runner(theirs)
    assert (theirs / "input.nn").read_bytes() == before
    p.to_runner(tmp_path / "ours")
    made(activation="softplus").to_runner(tmp_path / "ours")
    assert same(read(tmp_path / "ours"), read_again(made(activation="softplus"), tmp_path))
    with pytest.raises(ValueError, match="cannot be written to"):
        p.to_runner(tmp_path / "no" / "folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file: cannot be written to"):
        p.to_runner(tmp_path / "file")


def read_again(p, folder):
    p.to_runner(folder / "scratch")
    return read(folder / "scratch")


def test_a_write_that_breaks_off_leaves_no_potential_behind(tmp_path, monkeypatch):
    made().to_runner(tmp_path / "p")
    monkeypatch.setattr(runner._check, "write_text", lambda path, text: (_ for _ in ()).throw(ValueError("disk full")))
    with pytest.raises(ValueError, match="disk full"):
        made(activation="relu").to_runner(tmp_path / "p")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="input.nn: there is no such file"):
        read(tmp_path / "p")


# ---- mutations: a clear error that names the file, or the right answer

HARMFUL = ["nan", "inf", "-inf", "1e999", "0x10", "1_0", "1d0", "", "-1 -1", "٣", "1.0.0", "--1", "1e", "\x00"]
COUNTS = ["-1", "0", "1000000000", "99999999999999999999", "-99999999999999999999", "1e3", "2.0", "nan"]
NOISE = bytes(set(range(1, 32)) - {9, 10, 13} | set(range(127, 256)) | {0})  # neither digits nor letters nor spaces: those may make another valid file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small folder written by fastmd, its files' bytes, a structure and its energy"""
    place = tmp_path_factory.mktemp("mutations") / "p"
    made(hidden=(2,), scaling=("center-minmax", -1, 1)).to_runner(place)
    files = {p.name: p.read_bytes() for p in place.iterdir()}
    return place, files, water(4), read(place).compute(water(4)).energy


def outcome(folder, name, data):
    """The ValueError that the mutated file gives, or None where the energy is the right one"""
    place, files, atoms, energy = folder
    (place / name).write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            p = read(place)
    except ValueError as error:
        assert name in str(error) and len(str(error)) < 600 and "\n" not in str(error)
        return error
    finally:
        (place / name).write_bytes(files[name])
    assert p.compute(atoms).energy == energy
    return None


def mutations(count):
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def data_lines(data):
    return [k for k, line in enumerate(data.split(b"\n")) if line.strip() and not line.lstrip().startswith(b"#")]


def mutate(draw, name, data):
    """(mutated bytes, must it be an error: True, False, or None where either may be)"""
    how = draw(st.sampled_from(["cut", "cut line", "noise", "word", "count", "words", "lines", "twice", "drop"]))
    lines = data.split(b"\n")
    of_data = data_lines(data)
    if how == "cut":  # anywhere
        return data[:draw(st.integers(0, len(data) - 1))], True
    if how == "cut line":  # between lines; comments at the start only make a file without anything
        return b"\n".join(lines[:draw(st.integers(0, len(lines) - 2))] + [b""]), True
    if how == "noise":
        found = bytearray(data)
        for _ in range(draw(st.integers(1, 3))):
            found[draw(st.integers(0, len(found) - 1))] = draw(st.sampled_from(NOISE))
        return bytes(found), None
    k = draw(st.sampled_from(of_data))
    if how in ("word", "count"):
        words = lines[k].split()
        pattern = runner._WHOLE if how == "count" else runner._NUMBER
        numbers = [q for q, w in enumerate(words) if pattern.fullmatch(w.decode())]
        if not numbers or words[0] == b"cutoff_type" and how == "count":  # 0 is a cutoff type, too
            return data, False
        q = draw(st.sampled_from(numbers))
        words[q] = draw(st.sampled_from(HARMFUL if how == "word" else COUNTS)).encode()
        may_be_right = how == "count" or words[0] == b"cutoff_type"  # the count that stands there, the inner radius left out
        return b"\n".join([*lines[:k], b" ".join(words), *lines[k + 1:]]), None if may_be_right else True
    if how == "words":  # one too many or too few; where there may be more or fewer, nothing can tell
        words = lines[k].split()
        q = draw(st.integers(len(words) > 1, len(words) - 1))
        words[q:q + 1] = draw(st.sampled_from([[], [words[q], b"7"]]))
        free = name == "input.nn" and (words[:1] == [b"cutoff_type"] or len(lines[k].split()) == 1 or lines[k].split()[2:3] in ([b"3"], [b"9"]))
        return (data, False) if free else (b"\n".join([*lines[:k], b" ".join(words), *lines[k + 1:]]), True)
    if how == "lines":
        other = draw(st.permutations(of_data)) if name == "input.nn" else draw(st.permutations(of_data[:2] + [k]))
        shuffled = list(lines)
        for a, b in zip(sorted(set(other)), dict.fromkeys(other)):
            shuffled[a] = lines[b]
        return b"\n".join(shuffled), name != "input.nn" and shuffled != lines
    if how == "twice":
        return b"\n".join([*lines[:k], lines[k], *lines[k:]]), True
    if name == "input.nn" and lines[k].split()[0] in (b"atom_energy", b"scale_symmetry_functions", b"center_symmetry_functions", b"scale_min_short",
                                                      b"scale_max_short", b"cutoff_type"):
        return data, False  # those have defaults: without the line it is another potential, and nothing says so
    return b"\n".join([*lines[:k], *lines[k + 1:]]), True


def put_to_it(folder, name, count):
    files = folder[1]

    @mutations(count)
    @given(st.data())
    def check(data):
        mutated, error = mutate(data.draw, name, files[name])
        found = outcome(folder, name, mutated)
        assert error is None or error == (found is not None), mutated

    check()


@pytest.mark.parametrize("name", ["input.nn", "scaling.data", "weights.001.data"])
def test_a_mutated_file_gives_a_clear_error_or_the_right_answer(folder, name):
    put_to_it(folder, name, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["input.nn", "scaling.data", "weights.001.data", "weights.008.data"])
def test_many_more_mutations(folder, name):
    put_to_it(folder, name, 20000)


# ---- data sets

def labelled(n=4, seed=1, pbc=True):
    rng = np.random.default_rng(seed)
    atoms = Atoms("HOHO"[:n], rng.uniform(0, 5, (n, 3)), cell=rng.normal(size=(3, 3)) + 6 * np.eye(3) if pbc else None, pbc=pbc)
    atoms.calc = SinglePointCalculator(atoms, energy=float(rng.normal()), forces=rng.normal(size=(n, 3)))
    return atoms


def test_a_data_set_goes_out_and_comes_back(tmp_path):
    frames = [labelled(), labelled(3, 2, pbc=False), labelled(4, 3)]
    frames[0].info["comment"] = "liquid # 300 K"
    frames[1].info["charge"] = -1.0
    charged = frames[2].copy()
    charged.set_initial_charges([0.5, -0.5, 0.25, 0])
    charged.calc = SinglePointCalculator(charged, **frames[2].calc.results)
    frames[2] = charged
    for unit in (NATIVE, {}, {"length": "nm", "energy": "kJ/mol"}):
        runner.write_data(tmp_path / "input.data", iter(frames), **unit)
        back = list(runner.read_data(tmp_path / "input.data", **unit))
        assert len(back) == 3
        for a, b in zip(frames, back):
            assert a.get_chemical_symbols() == b.get_chemical_symbols() and (a.pbc == b.pbc).all()
            for x, y in ((a.positions, b.positions), (a.cell.array, b.cell.array), (a.get_forces(), b.get_forces()), (a.get_potential_energy(), b.get_potential_energy())):
                np.testing.assert_allclose(x, y, rtol=0 if unit is NATIVE else 1e-14, atol=0)
            np.testing.assert_array_equal(a.get_initial_charges(), b.get_initial_charges())
        assert [b.info["charge"] for b in back] == [0, -1, 0.25] and back[0].info["comment"] == "liquid # 300 K" and "comment" not in back[1].info


def test_the_reader_streams(tmp_path):
    path = tmp_path / "input.data"
    runner.write_data(path, [labelled()])
    path.write_bytes(path.read_bytes() + b"begin\nrubbish\n")
    found = runner.read_data(path)
    assert len(next(found)) == 4  # before the rest of the file is looked at
    with pytest.raises(ValueError, match="expected comment, lattice, atom, energy, charge or end, got 'rubbish'"):
        next(found)


def test_a_data_set_of_n2p2_is_read(test_data, tmp_path):
    import gzip

    folder, atoms, _ = golden(test_data, "Si_bench_wide", 0)
    (tmp_path / "input.data").write_bytes(gzip.decompress((folder / "si1728.data.gz").read_bytes()))
    found, = runner.read_data(tmp_path / "input.data", **NATIVE)
    assert (found.positions == atoms.positions).all() and found.pbc.all() and (found.cell.array == atoms.cell.array).all()


DATA = """begin
comment of a test
lattice 5 0 0
lattice 0 5 0
lattice 0 0 5
atom 0 0 0 H 0.1 0 0.5 0 0
atom 1 2 3 O -0.1 0 -0.5 0 0
energy -1.5
charge 0
end
"""


@pytest.mark.parametrize("old, new, message", [
    ("begin\n", "", "line 1: expected begin, got 'comment'"), ("end\n", "", "line 1: this structure has no end: the file is truncated"),
    ("charge 0\n", "begin\n", "line 9: begin, but the structure from line 1 has no end yet"), ("end\n", "end", "line 10: ends without a newline"),
    ("lattice 0 0 5\n", "", "line 9: the structure has 2 lattice vectors, expected none or three"), ("lattice 0 0 5", "lattice 0 5 0", "line 10: the lattice vectors of this structure span no volume"),
    ("charge 0", "lattice 1 1 1", "line 9: a fourth lattice vector"), ("charge 0", "energy 1", "line 9: energy stands twice"),
    ("atom 0 0 0 H 0.1 0 0.5 0 0\natom 1 2 3 O -0.1 0 -0.5 0 0\n", "", "line 8: the structure has no atoms"),
    (" O ", " Xx ", "line 7: 'Xx' is no element symbol"), (" O ", " ", "line 7: expected 10 words, got 9"), ("1 2 3", "1 nan 3", "line 7: atom: expected a finite number, got 'nan'"),
    ("energy -1.5", "energy 1_5", "line 8: energy: expected a finite number"), ("energy -1.5", "energy 1e308", "line 10: energy of this structure are not finite in eV"),
    ("charge 0", "magic 0", "line 9: expected comment, lattice, atom, energy, charge or end, got 'magic'")])
def test_what_is_wrong_in_a_data_set_is_said_with_file_and_line(tmp_path, old, new, message):
    path = tmp_path / "input.data"
    path.write_text(DATA.replace(old, new))
    with pytest.raises(ValueError, match="input.data, " + message):
        list(runner.read_data(path))


def test_energy_and_lattice_may_be_missing(tmp_path):
    path = tmp_path / "input.data"
    path.write_text("\n".join(line for line in DATA.split("\n") if not line.startswith(("lattice", "energy", "charge", "comment"))))
    atoms, = runner.read_data(path, **NATIVE)
    assert not atoms.pbc.any() and "energy" not in atoms.calc.results and "charge" not in atoms.info and (atoms.get_forces()[:, 0] == [0.5, -0.5]).all()
    with pytest.raises(ValueError, match="structure 0: has no energy, and input.data has no way to say so"):
        runner.write_data(tmp_path / "out", [atoms])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input.data"]


@pytest.mark.parametrize("change, message", [
    (lambda a: setattr(a, "calc", None), "structure 0: has no energy"), (lambda a: setattr(a, "pbc", [True, True, False]), "periodic in some directions only"),
    (lambda a: a.calc.results.update(forces=np.full((4, 3), np.nan)), "structure 0, forces: expected finite"),
    (lambda a: a.calc.results.update(forces=np.zeros((3, 3))), r"expected an energy and forces \(4, 3\)"),
    (lambda a: a.info.update(charge="much"), "structure 0, charge must be")])
def test_what_a_data_set_cannot_hold_is_refused(tmp_path, change, message):
    atoms = labelled()
    change(atoms)
    with pytest.raises(ValueError, match=message):
        runner.write_data(tmp_path / "input.data", [atoms])
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_or_read_are_named(tmp_path):
    with pytest.raises(ValueError, match="no regular file"):
        runner.write_data(tmp_path, [labelled()])
    with pytest.raises(ValueError, match="cannot be written"):
        runner.write_data(tmp_path / "no" / "input.data", [labelled()])
    with pytest.raises(ValueError, match="there is no such file"):
        list(runner.read_data(tmp_path / "input.data"))
    assert not runner.is_data(tmp_path / "input.data") and not runner.is_data(tmp_path)


@mutations(1000)
@given(st.data())
def test_a_mutated_data_set_gives_a_clear_error_or_the_right_answer(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "input.data"
    good = DATA.encode()
    how = data.draw(st.sampled_from(["cut", "noise", "word", "drop"]))
    lines, error = good.split(b"\n"), True
    k = data.draw(st.integers(0, len(lines) - 2))
    if how == "cut":
        mutated = good[:data.draw(st.integers(1, len(good) - 1))]
    elif how == "noise":
        mutated, error = bytearray(good), None
        mutated[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.sampled_from(NOISE))
    elif how == "word":
        words = lines[k].split()
        q = data.draw(st.integers(1, len(words) - 1)) if len(words) > 1 and words[0] != b"comment" else 0
        words[q] = data.draw(st.sampled_from(["nan", "1e999", "1_0", "\x00"])).encode()
        mutated = b"\n".join([*lines[:k], b" ".join(words), *lines[k + 1:]])
    else:  # lines that may be missing, or of which there may be any number, leave another valid data set
        k = data.draw(st.sampled_from([0, 2, 3, 4, 9]))
        mutated = b"\n".join([*lines[:k], *lines[k + 1:]])
    path.write_bytes(bytes(mutated))
    try:
        found, = runner.read_data(path, **NATIVE)
    except ValueError as e:
        assert f"{path}, line " in str(e) and error is not False and "\n" not in str(e)
    else:
        assert error is None and found.get_potential_energy() == -1.5 and (found.positions == [[0, 0, 0], [1, 2, 3]]).all() and found.cell.volume == pytest.approx(125)


# ---- the command

def run(*arguments):
    return CliRunner().invoke(main, ["convert", *map(str, arguments)])


def test_convert_goes_all_ways(tmp_path):
    folder = write(tmp_path / "p", INPUT + "magic 1\n")
    found = run(folder, tmp_path / "p.nnp")
    assert found.exit_code == 0 and "units bohr and hartree" in found.output and "unknown keyword 'magic'" in found.output
    p = fastmd.NNPotential.load(tmp_path / "p.nnp")
    assert p.units[0] == "bohr" and p.notes["source"] == "the RuNNer or n2p2 folder p, read as bohr and hartree"
    assert run(folder, tmp_path / "q.nnp", "--length", "angstrom", "--energy", "0.5").exit_code == 0
    assert fastmd.NNPotential.load(tmp_path / "q.nnp").units == ("angstrom", 1.0, "custom", 0.5)
    assert "says how LAMMPS takes them" in run(tmp_path / "p.nnp", tmp_path / "out").output
    assert same(fastmd.NNPotential.from_runner(tmp_path / "out"), p)
    runner.write_data(tmp_path / "input.data", [labelled(), labelled(3)])
    assert "2 structures" in run(tmp_path / "input.data", tmp_path / "d.extxyz").output
    frames = ase.io.read(tmp_path / "d.extxyz", ":")
    np.testing.assert_allclose(frames[0].get_forces(), labelled().get_forces(), atol=1e-7)
    assert "2 structures" in run(tmp_path / "d.extxyz", tmp_path / "input.data.new").output
    np.testing.assert_allclose(next(runner.read_data(tmp_path / "input.data.new")).positions, labelled().positions, atol=1e-7)


@pytest.mark.parametrize("source, target, message", [
    ("p", "out.txt", "a potential is written as .nnp"), ("input.data", "out.db", "a data set is written as .extxyz"), ("no", "out.nnp", "does not exist"),
    ("input.data", "input.data", "is also an input"), ("d.extxyz", "out", "not a fastmd potential file"), ("p.nnp", "q.nnp", "becomes a folder"), ("p", "nowhere/out.nnp", "cannot be written to")])
def test_convert_says_what_it_cannot_do(tmp_path, monkeypatch, source, target, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "p")
    runner.write_data("input.data", [labelled()])
    made().save("p.nnp")
    ase.io.write("d.extxyz", labelled())
    found = run(source, target)
    assert found.exit_code != 0 and message in found.output and "Traceback" not in found.output


def test_convert_leaves_nothing_half_done_and_takes_units_where_they_mean_something(tmp_path):
    (tmp_path / "input.data").write_text(DATA + "begin\nrubbish\n")
    found = run(tmp_path / "input.data", tmp_path / "out.extxyz")
    assert found.exit_code == 1 and "line 12" in found.output and [p.name for p in tmp_path.iterdir()] == ["input.data"]
    made().save(tmp_path / "p.nnp")
    assert "a potential is written in its own units" in run(tmp_path / "p.nnp", tmp_path / "out", "--length", "bohr").output


def test_training_reads_an_input_data_as_it_is(tmp_path):
    from fastmd.train import dataset

    atoms = Atoms("OH2", [[0, 0, 0.1], [0.8, 0.6, 0], [-0.8, 0.6, 0]])
    atoms.calc = SinglePointCalculator(atoms, energy=-2.0, forces=np.arange(9.0).reshape(3, 3))
    runner.write_data(tmp_path / "input.data", [atoms] * 3)
    found = dataset.read(tmp_path / "input.data")
    assert len(found) == 3 and found[2].energy == pytest.approx(-2.0, rel=1e-14)
    np.testing.assert_allclose(found[1].forces, np.arange(9.0).reshape(3, 3), rtol=1e-13)
    np.testing.assert_allclose(found[0].atoms.positions, atoms.positions, rtol=1e-13)


@pytest.mark.parametrize("comment", ["", "C:\\dft\\run1\\", "ends with =", 'a\\"b', "_JSON {", "_JSON [1]", "plain words", "007 = T"])
def test_no_comment_costs_an_extxyz_its_labels(comment, tmp_path):
    (tmp_path / "input.data").write_text(f"begin\ncomment {comment}\natom 0 0 0 H 0 0 .01 0 0\natom 0 0 1.4 H 0 0 -.01 0 0\nenergy -1.1\ncharge 0\nend\n")
    done = CliRunner().invoke(main, ["convert", str(tmp_path / "input.data"), str(tmp_path / "o.extxyz")])
    assert done.exit_code == 0, done.output
    back = ase.io.read(tmp_path / "o.extxyz")
    assert back.get_potential_energy() == pytest.approx(-1.1 * units.Hartree) and back.get_forces().shape == (2, 3)
    if comment == "plain words":
        assert back.info["comment"] == comment


@pytest.mark.parametrize("line, meant", [("Cutoff_Type 2", "cutoff_type"), ("scale_symetry_functions", "scale_symmetry_functions"), ("nnp_typ 4G-HDNNP", "nnp_type"),
                                         ("atom_energies H 1", "atom_energy"), ("normalise_nodes", "normalize_nodes")])
def test_a_misspelt_keyword_of_the_model_is_an_error(line, meant, tmp_path):
    folder = write(tmp_path / "p", INPUT + line + "\n")
    with pytest.raises(ValueError, match=f"input.nn, line .*unknown keyword .* is {meant} meant"):
        fastmd.NNPotential.from_runner(folder)


def test_a_folder_of_ours_is_not_read_in_other_units(tmp_path):
    potential = fastmd.NNPotential.from_runner(write(tmp_path / "p", INPUT), length="angstrom", energy="eV")
    potential.to_runner(tmp_path / "q")
    with pytest.raises(ValueError, match="line 1: fastmd wrote this folder in angstrom and eV, it is read as bohr and hartree; read it with length angstrom and energy eV"):
        fastmd.NNPotential.from_runner(tmp_path / "q")
    assert fastmd.NNPotential.from_runner(tmp_path / "q", "angstrom", 1.0).cutoff == potential.cutoff
    line = (tmp_path / "q" / "input.nn").read_text().splitlines()[1]
    assert float(line.split("hdnnp ")[1].split()[0]) > potential.cutoff


def test_files_of_others_are_not_written_over(tmp_path):
    potential = fastmd.NNPotential.from_runner(write(tmp_path / "p", INPUT), length="angstrom", energy="eV")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "scaling.data").write_text("precious")
    with pytest.raises(ValueError, match="has a scaling.data that may be another potential's"):
        potential.to_runner(tmp_path / "q")
    assert (tmp_path / "q" / "scaling.data").read_text() == "precious"
    potential.to_runner(tmp_path / "r")
    (tmp_path / "r" / "weights.099.data").write_text("left by an older potential")
    potential.to_runner(tmp_path / "r")
    assert not (tmp_path / "r" / "weights.099.data").exists()


@pytest.mark.parametrize("change, message", [(lambda a: a.set_pbc(True), "is periodic, but its cell spans no volume"), (lambda a: a.set_atomic_numbers([0, 1]), r"an atom without an element \(X\)")])
def test_what_could_not_be_read_again_is_not_written(change, message, tmp_path):
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])
    change(atoms)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=message):
        runner.write_data(tmp_path / "input.data", [atoms])
    assert not list(tmp_path.iterdir())
