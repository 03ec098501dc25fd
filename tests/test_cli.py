"""The command line as a whole: every command is there, explains itself, and ends in peace."""

import pytest
from click.testing import CliRunner

import fastmd
from fastmd import G2, G4, G5, G22
from fastmd.cli import COMMANDS, main


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([c, "--help"] for c in COMMANDS)], ids=" ".join)
def test_help_ends_with_0_and_says_something(arguments):
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0 and len(run.output) > 10 and "Error:" not in run.output
    if arguments[-1] == "--help":
        assert "Usage:" in run.output


def test_the_overview_names_every_command():
    text = CliRunner().invoke(main, ["--help"]).output
    assert all(f"  fastmd {c} " in text for c in COMMANDS)


def test_an_unknown_command_is_refused():
    run = CliRunner().invoke(main, ["tarin"])
    assert run.exit_code == 2 and "No such command" in run.output


def info(tmp_path, functions, units=("angstrom", 1.0, "eV", 1.0)):
    networks = {e: fastmd.Network.random(len(fs), (2,), rng=1) for e, fs in functions.items()}
    fastmd.NNPotential(functions, networks, units=units).save(tmp_path / "a.nnp")
    run = CliRunner().invoke(main, ["info", str(tmp_path / "a.nnp")])
    assert run.exit_code == 0, run.output
    return run.output


def test_info_of_a_potential_says_how_its_functions_are_computed(tmp_path):
    g5 = [G5("Si", "Si", 6.0, 0.01, l, z) for l in (1, -1) for z in (1, 2, 4, 1, 2, 4, 16, 2.5)]
    text = info(tmp_path, {"Si": [G2("Si", 6.0, 0.1), *g5, *(G4("Si", "H", 6.0, 0, l, 2) for l in (1, -1)), G22("H", "H", 6.0, 0, 0, 90)], "H": [G2("H", 5.0, 1)]})
    assert ("Si: 1 G2 over neighbours; 2 G4 over packed triplets; 12 of 16 G5 by moments (zeta 1, 2, 4; about 45 neighbours in 6 angstrom, 35 monomials), 4 over triplets; "
            "1 G22 over triplets\nH: 1 G2 over neighbours\nBy moments the work") in text
    assert "0.05 are counted in a cubic angstrom" in text
    assert "By moments" not in info(tmp_path, {"H": [G2("H", 5.0, 1), G4("H", "H", 5.0, 0, 1, 2)]})


@pytest.mark.parametrize("unit", [1.0, 0.529177])
def test_the_figures_of_info_are_those_that_decide(tmp_path, unit):
    for rc in (2.0, 3.0, 4.2, 5.1, 6.0, 7.3, 9.0):
        for z in range(1, 11):
            text = info(tmp_path, {"H": [G5("H", "H", rc / unit, 0.01 * unit**2, 1, z)]}, ("x", unit, "eV", 1.0))
            monomials, neighbours = (z + 1) * (z + 2) * (z + 3) // 6, 0.05 * 4 / 3 * 3.14159265 * rc**3
            if z <= 8 and monomials <= 2 * neighbours:
                assert f"H: 1 of 1 G5 by moments (zeta {z}; about {neighbours:.0f} neighbours in {rc:g} angstrom, {monomials} monomials)\n" in text
            else:
                assert "H: 1 G5 over triplets\n" in text and "moments" not in text


def test_info_of_what_is_no_potential_is_an_error(tmp_path):
    (tmp_path / "a.nnp").write_text("not one")
    run = CliRunner().invoke(main, ["info", str(tmp_path / "a.nnp")])
    assert run.exit_code == 1 and "a.nnp:1: not a fastmd potential file" in run.output
