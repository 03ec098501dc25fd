"""What strangers hand in: one clear error, nothing read out of bounds, nothing lost."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner

import fastmd
from fastmd import Descriptor, make_set

CELL = bulk("Si", cubic=True)
KINDS = np.zeros(8, np.int32)


@pytest.fixture
def descriptor():
    return Descriptor(make_set(["Si"], 4.0))


def test_arrays_of_a_wrong_size_never_reach_the_kernels(descriptor):
    system, layout = descriptor.system(KINDS, fastmd.find_pairs(CELL, 4.0))
    g = np.zeros(layout.size)
    for call in (lambda: descriptor.value(system, descriptor.layout(np.zeros(2, np.int32))), lambda: descriptor.vjp(system, layout, g, 1),
                 lambda: descriptor.vjp(system, layout, np.zeros(3), 8), lambda: descriptor.jvp(system, layout, v=np.zeros((3, 3))),
                 lambda: descriptor.jvp(system, layout, h=np.zeros((1, 3, 3)), strain_of=np.full(8, 5, np.int32)),
                 lambda: descriptor.jvp(system, layout, h=np.zeros((1, 3, 3)), strain_of=np.zeros(3, np.int32))):
        with pytest.raises(ValueError, match="expected|layout"):
            call()
    with pytest.raises(ValueError, match="positions"):
        fastmd.Verlet(4.0).pairs(np.zeros((3, 2)), np.eye(3), [0] * 3)
    with pytest.raises(ValueError, match="as many positions"):
        fastmd.StillingerWeber().evaluate(KINDS, CELL.positions[:3].copy(), CELL.cell.array, fastmd.find_pairs(CELL, 4.0))


def test_pairs_keep_to_the_positions_they_were_made_for(descriptor):
    atoms = CELL.copy()
    pairs = fastmd.find_pairs(atoms, 4.0)
    atoms.positions *= 1.1
    assert pairs.r.max() < 4.0
    for use in (lambda: fastmd.StillingerWeber().compute(atoms, pairs), lambda: descriptor.describe(atoms, pairs)):
        with pytest.raises(ValueError, match="other positions or another cell"):
            use()
    with pytest.raises(ValueError, match="their cutoff of 2 angstrom"):
        descriptor.describe(CELL, fastmd.find_pairs(CELL, 2.0))
    with pytest.raises(ValueError, match="expected fastmd.Pairs"):
        fastmd.StillingerWeber().compute(CELL, 5)


@pytest.mark.parametrize("call, message", [
    (lambda: make_set(["Xx"]), "elements: expected chemical symbols"), (lambda: make_set([]), "elements: expected chemical symbols"),
    (lambda: fastmd.Network.random(0), "n_inputs must be"), (lambda: fastmd.Network.random(3, (0,)), "hidden must be"),
    (lambda: fastmd.NNPotential({}, {}), "functions: expected"), (lambda: fastmd.NNPotential.load(None), "path: expected"),
    (lambda: fastmd.energy_drift([0, 1, 2], [0, np.nan, 1], 3), "finite"), (lambda: fastmd.StillingerWeber.read("no such file"), "cannot be read"),
    (lambda: fastmd.maxwell_boltzmann(Atoms(), 0), "at least one"),
    (lambda: fastmd.MD(CELL.copy(), fastmd.StillingerWeber()).run(1, trajectory="/nowhere/x"), "cannot be written")])
def test_what_makes_no_sense_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


torch = pytest.importorskip("torch")


def labelled(n=8, energy=True, forces=True):
    rng, sw, frames = np.random.default_rng(0), fastmd.StillingerWeber(), []
    for _ in range(n):
        a = CELL.copy()
        a.positions += rng.normal(0, 0.1, a.positions.shape)
        r = sw.compute(a)
        a.calc = SinglePointCalculator(a, **({"energy": r.energy} if energy else {}), **({"forces": r.forces} if forces else {}))
        frames.append(a)
    return frames


def lone():
    a = Atoms("Si", [[0, 0, 0]])
    a.calc = SinglePointCalculator(a, energy=-1.0, forces=np.zeros((1, 3)))
    return a


def overlapping():
    a = Atoms("Si2", [[0, 0, 0], [0, 0, 0.01]])
    a.calc = SinglePointCalculator(a, energy=1.0)
    return a


def run(tmp_path, frames, *args):
    from fastmd.cli import main

    ase.io.write(tmp_path / "d.extxyz", frames)
    return CliRunner().invoke(main, ["train", str(tmp_path / "d.extxyz"), "-o", str(tmp_path / "o.nnp"), "--epochs", "2", "--hidden", "4", "--cutoff", "4", *args])


@pytest.mark.parametrize("frames, args", [
    (labelled(energy=False), []), (labelled(energy=False), ["--optimizer", "adam"]), (labelled(forces=False), []),
    (labelled(6) + [lone()] * 5, ["--seed", "1"]), (labelled(6) + [lone()] * 5, ["--seed", "3"]), (labelled(4) + [lone()] * 2, ["--optimizer", "adam", "--batch-size", "1"])])
def test_partial_labels_and_lone_atoms_train(tmp_path, frames, args):
    r = run(tmp_path, frames, *args)
    assert r.exit_code == 0, r.output
    assert (tmp_path / "o.nnp").exists()


def test_structures_without_labels_are_no_validation(tmp_path):
    bare = [CELL.copy() for _ in range(12)]
    r = run(tmp_path, labelled(1) + bare)
    assert r.exit_code == 0 and " 0.00" not in r.output, r.output


@pytest.mark.parametrize("frames, args, message", [
    (labelled(forces=False), ["--energy-weight", "0"], "nothing to train on"),
    (labelled(), ["--energy-weight", "0", "--force-weight", "0", "--stress-weight", "0"], "nothing to train on"),
    (labelled(), ["--e0", "Ge=1"], "Ge is not in the data"), (labelled(), ["--e0", "Si=nan"], "offsets"), (labelled(), ["--seed", "-1"], "seed must be"),
    (labelled(), ["--hidden", "1000000000"], "at most 10000"), (labelled(), ["--max-seconds", "nan"], "max_seconds"), (labelled(), ["--threads", "-1"], "threads"),
    (labelled(), ["--cutoff", "1"], "raise the cutoff"), ([lone()] * 3, [], "raise the cutoff"), (labelled() + [overlapping()], [], "structure 8 .* apart: remove it")])
def test_a_training_that_cannot_be_says_why_before_it_begins(tmp_path, frames, args, message):
    import re

    r = run(tmp_path, frames, *args)
    assert r.exit_code == 1 and re.search(message, r.output), r.output
    assert not (tmp_path / "o.nnp").exists()


def test_an_output_that_is_also_an_input_is_left_alone(tmp_path):
    from fastmd.cli import main

    ase.io.write(tmp_path / "d.extxyz", labelled())
    before = (tmp_path / "d.extxyz").read_bytes()
    r = CliRunner().invoke(main, ["train", str(tmp_path / "d.extxyz"), "-o", str(tmp_path / "d.extxyz")])
    assert r.exit_code == 1 and "also an input" in r.output and (tmp_path / "d.extxyz").read_bytes() == before


def test_a_test_file_with_a_new_element_is_noticed_before_training(tmp_path):
    other = bulk("Ge", cubic=True)
    other.calc = SinglePointCalculator(other, energy=0.0)
    ase.io.write(tmp_path / "t.extxyz", other)
    r = run(tmp_path, labelled(), "--test", str(tmp_path / "t.extxyz"))
    assert r.exit_code == 1 and "Ge, which is not in" in r.output
