"""The Vashishta potential."""

from typing import NamedTuple

import numpy as np

from .many_body import ManyBody, check_twins, of_pairs, of_triplets

# e^2 / (4 pi epsilon_0) in eV angstrom, as LAMMPS has it in units metal: what a charge in its files stands for.
COULOMB = 14.399645


class VashishtaTriplet(NamedTuple):
    """One entry of a Vashishta potential, named and ordered as in LAMMPS's files (cos theta_0 is `costheta0`)."""

    H: float  # eV angstrom^eta
    eta: float
    Zi: float  # e
    Zj: float
    lambda1: float  # angstrom; 0 is no screening
    D: float  # eV angstrom^4
    lambda4: float  # angstrom; 0 is no screening
    W: float  # eV angstrom^6
    rc: float  # angstrom
    B: float = 0.0  # eV
    gamma: float = 0.0  # angstrom
    r0: float = 0.0  # angstrom
    C: float = 0.0
    costheta0: float = 0.0


class Vashishta(ManyBody):
    """Vashishta potential: steric repulsion, screened charges and charge-dipole attraction, dispersion, and bending.

        E = sum_{i<j} [ U(r) - U(rc) - (r - rc) U'(rc) ] + sum_i sum_{j<k} phi3,    r < rc
        U    = H / r^eta + (Z_i Z_j e^2 / r) exp(-r / lambda1) - (D / r^4) exp(-r / lambda4) - W / r^6
        phi3 = B b^2 / (1 + C b^2) exp( gamma_ij / (r_ij - r0_ij) ) exp( gamma_ik / (r_ik - r0_ik) ),    b = cos theta_jik - cos theta_0,    r < r0

    parameters: {(centre, neighbour, neighbour): VashishtaTriplet}, every ordered triplet of the elements present.  As
                LAMMPS has it, entry (i, j, j) holds the pair i-j and the leg of a triplet from i to j; entry (i, j, k)
                holds B, C and theta_0 of the triplet.

    e^2 is LAMMPS's in units metal, 14.399645 eV angstrom.  Energy and force of a pair vanish at rc.  A screening length of 0
    is none.  Half of a pair's energy goes to each of its atoms, a third of a triplet's to each of three, as in LAMMPS.

        Vashishta.silica()                                                                     # SiO2, Vashishta et al., 1990
        Vashishta.read("SiC.vashishta", elements=("Si", "C"))

    Raises ValueError for entries that are missing, negative, not finite, or that contradict each other.
    Source: P. Vashishta, R. K. Kalia, J. P. Rino, I. Ebbsjo, Phys. Rev. B 41, 12197 (1990); P. S. Branicio, J. P. Rino,
    C. K. Gan, H. Tsuzuki, J. Phys.: Condens. Matter 21, 095002 (2009), for C and W; LAMMPS, pair_style vashishta.
    """

    title, suffix, entry, signed = "Vashishta", ".vashishta", VashishtaTriplet, ("Zi", "Zj", "costheta0")

    @classmethod
    def silica(cls, year=1990):
        """SiO2 in two sets of parameters.

        year: 1990, P. Vashishta et al., Phys. Rev. B 41, 12197: charges practically unscreened, cutoff 10 angstrom
              1994, A. Nakano, R. K. Kalia, P. Vashishta, J. Non-Cryst. Solids 171, 157: screened, cutoff 5.5 angstrom, a quarter of the time
        In the units and with the digits of LAMMPS's files; the charge-dipole D is half the sum of polarizability times charge squared, in both orders.
        Raises ValueError for another year.
        """
        if year not in _SILICA:
            raise ValueError(f"year: expected {' or '.join(map(str, _SILICA))}, got {year!r}")
        charges, (lambda1, lambda4, rc), pairs, bends = _SILICA[year]
        nothing = VashishtaTriplet(*[0.0] * 9)
        entries = {(i, j, k): nothing for i in charges for j in charges for k in charges}
        for (i, j), (H, eta, D) in pairs.items():
            for a, b in {(i, j), (j, i)}:
                entries[a, b, b] = VashishtaTriplet(H, eta, charges[a], charges[b], lambda1, D, lambda4, 0.0, rc, *bends.get((a, b), ()))
        return cls(entries)

    def _tables(self, source, f):
        pairs = {name: of_pairs(getattr(f, name)) for name in ("rc", "H", "eta", "lambda1", "D", "lambda4", "W")}
        pairs["Zi Zj"] = of_pairs(f.Zi * f.Zj)
        triplets = {"B": f.B, "costheta0": f.costheta0, "C": f.C}
        check_twins(source, self.elements, pairs, triplets)  # a leg's r0 and gamma have no twins
        rc, H, eta, lambda1, D, lambda4, W, ZZ = pairs.values()
        with np.errstate(all="ignore"):
            near, far = (np.where(x > 0, 1 / x, 0.0) for x in (lambda1, lambda4))
            ZZ = COULOMB * ZZ
            steric, coulomb, dipole, dispersion = H * rc**-eta, ZZ / rc * np.exp(-near * rc), D / rc**4 * np.exp(-far * rc), W / rc**6
            slope = (dipole * (4 + far * rc) + 6 * dispersion - eta * steric - coulomb * (1 + near * rc)) / rc
            level = steric + coulomb - dipole - dispersion - rc * slope
            slope, level = (np.where(rc > 0, x, 0.0) for x in (slope, level))
        self._pairs = np.stack([rc, H, eta, ZZ, near, D, far, W, slope, level, of_pairs(f.r0), of_pairs(f.gamma)])
        self._bends = of_triplets(*triplets.values())
        if not (np.isfinite(self._pairs).all() and np.isfinite(self._bends).all()):
            raise ValueError(f"{source}parameters: energy, force or screening at rc is not finite; check H, eta, the charges, lambda1, D, lambda4, W and rc")
        self.cutoff = float(self._pairs[[0, 10]].max())
        if not self.cutoff > 0:
            raise ValueError(f"{source}rc and r0, the cutoffs, are zero for every pair: at least one must be > 0")

    def evaluate(self, species, positions, cell, pairs):
        """Energy, energies (n,), forces (n, 3) and virial (3, 3) from plain arrays; see Potential."""
        from .loops import vashishta_rows
        return self._run(vashishta_rows, (self._pairs, self._bends), species, positions, cell, pairs)


# {year: charges, (lambda1, lambda4, rc), {pair: (H, eta, D)}, {(centre, neighbour): (B, gamma, r0, C, cos theta_0)}}; 141.00 and 109.47 degrees
_SILICA = {
    1990: ({"Si": 1.6, "O": -0.8}, (999.0, 4.43, 10.0),
           {("Si", "Si"): (0.82023, 11, 0.0), ("O", "O"): (743.848, 7, 22.1179), ("Si", "O"): (163.859, 9, 44.2357)},
           {("O", "Si"): (20.146, 1.0, 2.60, 0.0, -0.77714596), ("Si", "O"): (5.0365, 1.0, 2.60, 0.0, -0.333333333333)}),
    1994: ({"Si": 1.76, "O": -0.88}, (4.43, 2.5, 5.5),
           {("Si", "Si"): (0.80603, 11, 0.0), ("O", "O"): (730.17, 7, 26.7447), ("Si", "O"): (160.849, 9, 53.4894)},
           {("O", "Si"): (19.972, 1.0, 2.60, 0.0, -0.77714596), ("Si", "O"): (4.993, 1.0, 2.60, 0.0, -0.333333333333)}),
}
