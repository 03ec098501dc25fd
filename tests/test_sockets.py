"""fastmd behind a socket: the client of examples/ipi with ASE's server, and with i-PI where it is installed."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.socketio import SocketIOCalculator
from ase.md.verlet import VelocityVerlet
from test_c_api import silicon

import fastmd

EXAMPLE = Path(__file__).parents[1] / "examples" / "ipi"
ipi = pytest.mark.skipif(shutil.which("i-pi") is None, reason="i-PI is not installed (pip install ipi)")


def crystal(pbc=True):
    atoms = bulk("Si", cubic=True) * (2, 2, 2)
    atoms.rattle(0.05, seed=1)
    atoms.pbc = pbc
    return atoms


def client(folder, *address):
    """Started; it waits for its server"""
    env = {**os.environ, "FASTMD_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(Path(fastmd.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen([sys.executable, EXAMPLE / "client.py", "silicon.nnp", "start.extxyz", *map(str, address)], cwd=folder, env=env, stderr=subprocess.PIPE, text=True)


def set_up(folder, atoms):
    silicon().save(folder / "silicon.nnp")
    ase.io.write(folder / "start.extxyz", atoms)


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


# -------------------------------------------------------------------------------------------------------------------- ASE

@pytest.mark.parametrize("kind, pbc", [("unix", True), ("inet", [1, 1, 0])])
def test_a_server_of_ase_gets_what_the_potential_says(tmp_path, kind, pbc):
    atoms, potential = crystal(pbc), silicon()
    set_up(tmp_path, atoms)
    name, port = f"fastmd-{uuid.uuid4().hex[:12]}", free_port()
    server = {"unixsocket": name} if kind == "unix" else {"port": port}
    process = client(tmp_path, *(["--unix", name] if kind == "unix" else ["--port", port]))
    with SocketIOCalculator(timeout=60, **server) as calculator:
        for k in range(3):
            atoms.rattle(0.02, seed=k)
            if k == 2 and pbc is True:
                atoms.set_cell(atoms.cell.array @ [[1.01, 0, 0], [0.02, 0.99, 0], [0, 0.01, 1]], scale_atoms=True)
            atoms.calc = calculator
            wanted = potential.compute(atoms)
            assert atoms.get_potential_energy() == pytest.approx(wanted.energy, rel=1e-12)
            assert atoms.get_forces() == pytest.approx(wanted.forces, abs=1e-10)
            if pbc is True:
                assert atoms.get_stress() == pytest.approx(wanted.stress, abs=1e-12)
    assert process.wait(30) == 0, process.stderr.read()  # it ends when the server does
    process.stderr.close()


def test_dynamics_through_a_socket_is_that_without(tmp_path):
    atoms, other = crystal(), crystal()
    fastmd.maxwell_boltzmann(atoms, 600, 0)
    other.set_momenta(atoms.get_momenta())
    set_up(tmp_path, atoms)
    name = f"fastmd-{uuid.uuid4().hex[:12]}"
    process = client(tmp_path, "--unix", name)
    with SocketIOCalculator(unixsocket=name, timeout=60) as atoms.calc:
        VelocityVerlet(atoms, 1 * units.fs).run(50)
    fastmd.MD(other, silicon()).run(50)
    assert np.abs(atoms.positions - other.positions).max() < 1e-9
    assert process.wait(30) == 0
    process.stderr.close()


# ------------------------------------------------------------------------------------------------------------------- i-PI

NVE = {"<initialize nbeads='4'>": "<initialize nbeads='1'>", "<velocities mode='thermal' units='kelvin'> 300 </velocities>": "", "mode='nvt'": "mode='nve'",
       "<thermostat mode='pile_g'> <tau units='femtosecond'> 100 </tau> </thermostat>": "", "x_centroid": "positions"}


def run_ipi(folder, changes, clients=1):
    """Runs the example's input, changed here and there; its table of properties"""
    text, name = (EXAMPLE / "input.xml").read_text(), f"fastmd-{uuid.uuid4().hex[:12]}"
    for old, new in {"<address> fastmd </address>": f"<address> {name} </address>", **changes}.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "input.xml").write_text(text)
    clients = [client(folder, "--unix", name) for _ in range(clients)]
    done = subprocess.run(["i-pi", "input.xml"], cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for c in clients:
        assert c.wait(60) == 0, c.stderr.read()
        c.stderr.close()
    assert done.returncode == 0 and "reports success" in done.stdout, done.stdout + done.stderr
    return np.loadtxt(folder / "pimd.out")


@pytest.mark.slow
@ipi
def test_dynamics_by_i_pi_is_that_of_fastmd(tmp_path):
    """Constant energy from a rattled crystal at rest, 200 steps; i-PI's files have eight decimals, its units eight digits."""
    atoms = crystal()
    set_up(tmp_path, atoms)
    table = run_ipi(tmp_path, {**NVE, "<total_steps> 1000 <": "<total_steps> 200 <", "stride='100'": "stride='10'"})
    positions = [f.positions for f in ase.io.read(next(tmp_path.glob("pimd.centroid*extxyz")), ":")]
    start = ase.io.read(tmp_path / "start.extxyz")
    md, ours = fastmd.MD(start, silicon()), []
    thermo = md.run(200, observers=[(lambda md: ours.append(md.positions.copy()), 10)])
    assert len(positions) == 21 and np.abs(ours[-1] - start.positions).max() < 1e-12 and np.abs(ours[-1] - positions[0]).max() > 0.02
    apart = max(np.abs(a - b).max() for a, b in zip(positions[1:], ours))
    energy = np.abs(table[:, 5] - thermo.potential).max()
    print(f"positions differ by {apart:.1e} angstrom, potential energies by {energy:.1e} eV, drift of i-PI's conserved energy {np.ptp(table[:, 2]):.1e} eV")
    assert apart < 1e-6 and energy < 5e-5 and np.ptp(table[:, 2]) < 2e-3


@pytest.mark.slow
@ipi
def test_each_bead_of_a_path_integral_has_the_energy_of_its_positions(tmp_path):
    set_up(tmp_path, crystal())
    table = run_ipi(tmp_path, {"<total_steps> 1000 <": "<total_steps> 20 <", "x_centroid": "positions", "stride='100'": "stride='10'"}, clients=2)
    beads = [ase.io.read(path, ":") for path in sorted(tmp_path.glob("pimd.centroid*extxyz"))]
    assert len(beads) == 4 and [len(b) for b in beads] == [3] * 4 and table.shape == (3, 6)
    for k in range(3):
        energies = [silicon().compute(b[k]).energy for b in beads]
        assert table[k, 5] == pytest.approx(np.mean(energies), abs=1e-4)  # i-PI prints nine digits, of units that have eight
    assert min(np.abs(beads[0][2].positions - b[2].positions).max() for b in beads[1:]) > 0.01  # they are apart


# ------------------------------------------------------------------------------------------------------------ what is wrong

def test_a_client_without_a_server_gives_up():
    spec = importlib.util.spec_from_file_location("client", EXAMPLE / "client.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for address in ({"port": free_port()}, {"unixsocket": "fastmd-nobody"}):
        with pytest.raises(SystemExit, match=re.escape(f"no server came in 0.2 s at {address}")):
            module.connect(0.2, **address)
