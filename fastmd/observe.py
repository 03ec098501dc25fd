"""What to look at in structures and trajectories: the radial distribution function, and the drift of an energy."""
import numpy as np
from ase import Atoms

from .pairs import find_pairs

__all__ = ["energy_drift", "rdf"]


def rdf(frames, r_max, bins=200, pairs=None):
    """Radial distribution function, averaged over frames.

        g_ab(r) = V / (N_a N_b) * n_ab(r, r + dr) / (4/3 pi ((r + dr)^3 - r^3))

    with n_ab the number of directed pairs from an a to a b in the shell.  All periodic images count, so r_max may exceed
    the cell, and g of a crystal does not depend on how often its cell is repeated.

    frames: one Atoms or an iterable of them, periodic in three directions, any cell
    r_max : angstrom
    bins  : number of shells
    pairs : two elements ("O", "H"); None takes all atoms
    Returns r (bins,), the middle of each shell in angstrom, and g (bins,).

    Raises ValueError for no frames, open boundaries, and elements that are not there.
    Source: M. P. Allen and D. J. Tildesley, Computer Simulation of Liquids, 2nd ed. (2017), section 8.2.
    """
    if not (np.isfinite(r_max) and r_max > 0):
        raise ValueError(f"r_max must be a finite number > 0 angstrom, got {r_max!r}")
    if not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ValueError(f"bins must be an integer >= 1, got {bins!r}")
    edges = np.linspace(0, r_max, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    g, count = np.zeros(bins), 0
    for count, atoms in enumerate([frames] if isinstance(frames, Atoms) else frames, 1):
        if not atoms.pbc.all():
            raise ValueError(f"frames: frame {count - 1} is not periodic in three directions, it has no density to divide by")
        centre, other = _chosen(atoms, pairs)
        found = find_pairs(atoms, r_max)
        kept = np.repeat(centre, np.diff(found.first)) & other[found.j]
        density = other.sum() / atoms.get_volume()
        g += np.histogram(found.r[kept], edges)[0] / (centre.sum() * density * shells)
    if not count:
        raise ValueError("frames: there are none")
    return (edges[1:] + edges[:-1]) / 2, g / count


def _chosen(atoms, pairs):
    """Masks of the atoms to look from and at."""
    if pairs is None:
        pairs = masks = [np.ones(len(atoms), bool)] * 2
    else:
        if isinstance(pairs, str) or len(pairs) != 2:
            raise ValueError(f'pairs: expected two elements such as ("O", "H"), got {pairs!r}')
        masks = [atoms.symbols == element for element in pairs]
    for element, mask in zip(pairs, masks):
        if not mask.any():
            raise ValueError(f"pairs: no {element} among {atoms.get_chemical_formula()}")
    return masks


def energy_drift(times_ps, energies, n_atoms):
    """Slope of the least-squares line through an energy, in meV per atom and ps.

    times_ps: (m,) ps;  energies: (m,) eV of the whole structure;  n_atoms: its atoms

        energy_drift(thermo.times, thermo.total, len(atoms))

    Raises ValueError for arrays that do not match or times that are all the same.
    """
    times, energies = np.asarray(times_ps, float), np.asarray(energies, float)
    if not (np.isfinite(times).all() and np.isfinite(energies).all()):
        raise ValueError("times_ps and energies: expected finite numbers")
    if times.ndim != 1 or times.shape != energies.shape:
        raise ValueError(f"times_ps and energies: expected two (m,) arrays, got {times.shape} and {energies.shape}")
    if n_atoms < 1:
        raise ValueError(f"n_atoms must be >= 1, got {n_atoms}")
    times = times - times.mean() if len(times) else times
    if not times.any():
        raise ValueError("times_ps: expected at least two different times")
    return float(1000 * (times @ energies) / (times @ times) / n_atoms)
