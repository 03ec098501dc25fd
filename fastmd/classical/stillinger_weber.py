"""The Stillinger-Weber potential."""

from typing import NamedTuple

import numpy as np

from .many_body import ManyBody, check_twins, of_pairs, of_triplets


class Triplet(NamedTuple):
    """One entry of a Stillinger-Weber potential, named and ordered as in LAMMPS's files (lambda is `lam`)."""

    epsilon: float  # eV
    sigma: float  # angstrom
    a: float
    lam: float
    gamma: float
    costheta0: float
    A: float
    B: float
    p: float
    q: float
    tol: float = 0.0


class StillingerWeber(ManyBody):
    """Stillinger-Weber potential; silicon as published unless told otherwise.

        E = sum_{i<j} phi2 + sum_i sum_{j<k} phi3
        phi2 = A epsilon [ B (sigma/r)^p - (sigma/r)^q ] exp( sigma / (r - a sigma) )
        phi3 = lambda epsilon (cos theta_jik - cos theta_0)^2
               exp( gamma_ij sigma_ij / (r_ij - a_ij sigma_ij) ) exp( gamma_ik sigma_ik / (r_ik - a_ik sigma_ik) )

    parameters: {(centre, neighbour, neighbour): Triplet}, every ordered triplet of the elements present.  As LAMMPS
                has it, entry (i, j, j) holds the pair i-j and the leg of a triplet from i to j; entry (i, j, k)
                holds lambda, epsilon and theta_0 of the triplet.

    tol is LAMMPS's licence to cut earlier where the terms are small; it is read and not used, so a file whose tol
    is not zero gives a difference of about tol from LAMMPS.  Half of a pair's energy goes to each of its atoms, a
    third of a triplet's to each of three, as in LAMMPS.

        StillingerWeber()                                                                                 # silicon
        StillingerWeber({("Si",) * 3: StillingerWeber.silicon._replace(lam=31.5)})
        StillingerWeber.read("CdTe.sw", elements=("Cd", "Te"))

    Raises ValueError for entries that are missing, negative, not finite, or that contradict each other.
    Source: F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985); LAMMPS, pair_style sw.
    """

    silicon = Triplet(2.1683, 2.0951, 1.80, 21.0, 1.20, -1 / 3, 7.049556277, 0.6022245584, 4.0, 0.0)
    title, suffix, entry, signed = "Stillinger-Weber", ".sw", Triplet, ("costheta0",)

    def __init__(self, parameters=None):
        super().__init__({("Si", "Si", "Si"): self.silicon} if parameters is None else parameters)

    def _tables(self, source, f):
        pairs = {"a sigma": f.a * f.sigma, "sigma": f.sigma, "gamma sigma": f.gamma * f.sigma, "A epsilon": f.A * f.epsilon, "B": f.B, "p": f.p, "q": f.q}
        pairs = {name: of_pairs(field) for name, field in pairs.items()}
        triplets = {"lambda epsilon": f.lam * f.epsilon, "costheta0": f.costheta0}
        check_twins(source, self.elements, {name: table for name, table in pairs.items() if name != "gamma sigma"}, triplets)  # a leg's gamma has no twin
        self._pairs = np.stack(list(pairs.values()))
        self._bends = of_triplets(*triplets.values(), np.zeros_like(f.lam))
        self.cutoff = float(self._pairs[0].max())
        if not self.cutoff > 0:
            raise ValueError(f"{source}a sigma, the cutoff, is zero for every pair: at least one must be > 0")

    def evaluate(self, species, positions, cell, pairs):
        """Energy, energies (n,), forces (n, 3) and virial (3, 3) from plain arrays; see Potential."""
        from .loops import sw_rows
        return self._run(sw_rows, (self._pairs, self._bends), species, positions, cell, pairs)
