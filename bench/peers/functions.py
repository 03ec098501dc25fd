"""8 G2 + 16 G4: values, and derivatives, from positions on (the list is part of the time, since not all can be given one): fastmd, dscribe, KLIFF.

The numbers of all three are the same, and so are the derivatives along one coordinate. torchani's are other functions of about the same number and reach: a
hint only.
"""

import os

import numpy as np
from yardstick import silicon

import fastmd

from . import Contest, clocked, same

CUTOFF = 6.0
G2 = list(zip((0.01, 0.05, 0.1, 0.3, 0.6, 1, 2, 4), (0, 0, 0, 0, 1, 2, 3, 4)))                        # eta, rs
G4 = [(eta, lambda_, zeta) for eta in (0.01, 0.05) for lambda_ in (1, -1) for zeta in (1, 2, 4, 16)]
FUNCTIONS = {"Si": [fastmd.G2("Si", CUTOFF, *p, "cosine") for p in G2] + [fastmd.G4("Si", "Si", CUTOFF, *p, "cosine") for p in G4]}


def contests(quick):
    yield values(silicon(3 if quick else 6)[0])
    yield derivatives(silicon(2)[0])


def dscribe_acsf():
    from dscribe.descriptors import ACSF

    return ACSF(species=["Si"], r_cut=CUTOFF, g2_params=G2, g4_params=[(eta, zeta, lambda_) for eta, lambda_, zeta in G4], periodic=True)


def kliff_functions(atoms):
    """(descriptor, configuration)"""
    from kliff.dataset import Configuration
    from kliff.legacy.descriptors import SymmetryFunction
    from loguru import logger

    logger.remove()  # a line for every atom
    parameters = {"g2": [{"eta": eta, "Rs": rs} for eta, rs in G2], "g4": [{"zeta": zeta, "lambda": lambda_, "eta": eta} for eta, lambda_, zeta in G4]}
    descriptor = SymmetryFunction({"Si-Si": CUTOFF}, "cos", parameters, normalize=False, dtype=np.float64)
    return descriptor, Configuration(cell=np.array(atoms.cell), species=atoms.get_chemical_symbols(), coords=atoms.positions, PBC=[True] * 3)


def torchani_aev(atoms, slope):
    """A call: 8 radial and 16 angular terms with the same cutoff, in float64; and the gradient of their sum where that is asked for"""
    os.environ["TORCHANI_NO_WARN_EXTENSIONS"] = "1"
    import torch
    from torchani.aev import AEVComputer, ANIAngular, ANIRadial

    torch.set_num_threads(1)
    aev = AEVComputer(ANIRadial.cover_linearly(0.9, CUTOFF, 4.0, 8), ANIAngular.cover_linearly(0.9, CUTOFF - 1e-3, 4.0, 8.0, 4, 4), 1, neighborlist="cell_list").double()
    kinds, cell, pbc = torch.zeros(1, len(atoms), dtype=torch.long), torch.tensor(np.array(atoms.cell)), torch.ones(3, dtype=torch.bool)

    def call():
        x = torch.tensor(atoms.positions[None], requires_grad=slope)
        with torch.set_grad_enabled(slope):
            G = aev(kinds, x, cell, pbc)
            return torch.autograd.grad(G.sum(), x)[0] if slope else G
    return call


def values(atoms):
    descriptor = fastmd.Descriptor(FUNCTIONS)
    G = descriptor.describe(atoms)["Si"]

    def dscribe():
        acsf = dscribe_acsf()
        same("values", acsf.create(atoms)[:, 1:], G, 1e-12)  # the first is G1, which it always has
        return clocked(lambda: acsf.create(atoms))

    def kliff():
        functions, configuration = kliff_functions(atoms)
        same("values", functions.transform(configuration)[0], G, 1e-12)
        return clocked(lambda: functions.transform(configuration))

    c = Contest(f"values of 8 G2 + 16 G4, Si, {len(atoms)} atoms, list included", {}, len(atoms))
    c.add("fastmd", lambda: clocked(lambda: ours(descriptor, atoms)))
    c.add("dscribe", dscribe, "dscribe")
    c.add("KLIFF", kliff, "kliff")
    c.add("torchani", lambda: clocked(torchani_aev(atoms, False)), "torchani", "other functions: 8 radial, 16 angular terms")
    return c


def ours(descriptor, atoms):
    system, layout = descriptor.system(np.zeros(len(atoms), np.int32), fastmd.find_pairs(atoms, CUTOFF), threads=1)
    return descriptor.value(system, layout)


def derivatives(atoms):
    descriptor, n = fastmd.Descriptor(FUNCTIONS), len(atoms)
    kinds = np.zeros(n, np.int32)
    system, layout = descriptor.system(kinds, fastmd.find_pairs(atoms, CUTOFF), threads=1)
    one = np.zeros((n, 3))
    one[0, 1] = 1
    along = descriptor.jvp(system, layout, one).reshape(n, -1)  # dG along y of atom 0

    def rows():
        pairs = fastmd.find_pairs(atoms, CUTOFF)
        system, layout = descriptor.system(kinds, pairs, threads=1)
        return descriptor.value(system, layout), descriptor.rows(system, layout, kinds, pairs.first)

    def vjp():
        system, layout = descriptor.system(kinds, fastmd.find_pairs(atoms, CUTOFF), threads=1)
        G = descriptor.value(system, layout)
        return G, descriptor.vjp(system, layout, np.ones_like(G), n)

    def kliff():
        functions, configuration = kliff_functions(atoms)
        same("derivatives", functions.transform(configuration, fit_forces=True)[1].reshape(n, -1, n, 3)[:, :, 0, 1], along, 1e-12)
        return clocked(lambda: functions.transform(configuration, fit_forces=True))

    def dscribe():
        acsf = dscribe_acsf()
        first = lambda: acsf.derivatives(atoms, method="numerical", include=[0], attach=True)  # noqa: E731
        same("derivatives", first()[0][:, 0, 1, 1:], along, 1e-6)
        job = clocked(first)
        return lambda: n * job()

    c = Contest(f"values and derivatives, the same functions, Si, {n} atoms, list included", {}, n)
    c.add("fastmd: Jacobian", lambda: clocked(rows), note="by each neighbour")
    c.add("fastmd: vjp", lambda: clocked(vjp), note="contracted, as forces need it", over="fastmd: vjp")
    c.add("KLIFF", kliff, "kliff", "by each atom, dense")
    c.add("dscribe", dscribe, "dscribe", "by differences; one atom timed")
    c.add("torchani", lambda: clocked(torchani_aev(atoms, True)), "torchani", "other functions; contracted", "fastmd: vjp")
    return c
