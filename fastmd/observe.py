"""What to look at in structures and trajectories: the radial distribution function, diffusion, and the drift of an energy."""
import numpy as np
from ase import Atoms

from . import _check
from .pairs import find_pairs

__all__ = ["diffusion", "energy_drift", "msd", "rdf"]

_TOGETHER = 1 << 22  # numbers that are Fourier transformed at a time


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
    r_max = _check.number("r_max", r_max, "angstrom", above=0)
    bins = _check.whole("bins", bins, 1)
    edges = np.linspace(0, r_max, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    g, count = np.zeros(bins), 0
    for count, atoms in enumerate(_frames(frames), 1):
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


def _frames(frames):
    """One Atoms or several, one after another."""
    try:
        frames = iter([frames] if isinstance(frames, Atoms) else frames)
    except TypeError:
        raise ValueError(f"frames: expected an ase.Atoms or several, got {type(frames).__name__}") from None
    for index, atoms in enumerate(frames):
        if not isinstance(atoms, Atoms):
            raise ValueError(f"frames: frame {index} is a {type(atoms).__name__}, expected an ase.Atoms")
        yield atoms


def _chosen(atoms, pairs):
    """Masks of the atoms to look from and at."""
    if pairs is None:
        pairs = masks = [np.ones(len(atoms), bool)] * 2
    else:
        if not isinstance(pairs, (tuple, list)) or len(pairs) != 2 or not all(isinstance(element, str) for element in pairs):
            raise ValueError(f'pairs: expected two elements such as ("O", "H"), got {pairs!r}')
        masks = [atoms.symbols == element for element in pairs]
    for element, mask in zip(pairs, masks):
        if not mask.any():
            raise ValueError(f"pairs: no {element} among {atoms.get_chemical_formula()}")
    return masks


def msd(frames, element=None, interval=None, wrapped=False):
    """Mean squared displacement, over all atoms of an element and all origins in time.

        msd(m) = 1 / (N (T - m)) sum_i sum_k |r_i(k + m) - r_i(k)|^2,    r_i relative to the centre of mass
               = 1 / (N (T - m)) sum_i [sum_k r_i(k)^2 + r_i(k + m)^2  -  2 sum_k r_i(k) . r_i(k + m)]

    with k from 0 to T - m - 1.  The last sum is an autocorrelation: Fourier transforms give it for all m in N T log T.
    The centre of mass is that of all atoms, with their masses.

    frames  : two or more Atoms at equal intervals, of the same two or more atoms
    element : "Li"; None takes all atoms
    interval: ps between frames; None takes the times that fastmd's MD writes with its frames
    wrapped : False takes positions as they are; MD here never wraps them.  True for frames of a program that puts atoms
              back into the cell: from one frame to the next an atom is then taken to have moved by less than half a
              lattice vector
    Returns times (T,) in ps, from 0, and msd (T,) in angstrom^2.  Long times have few origins and large errors.

        times, squares = fastmd.msd(ase.io.read("md.extxyz", ":"), "Li")
        d, error = fastmd.diffusion(times, squares)

    Raises ValueError for frames that do not match or are not at equal intervals, and elements that are not there.
    Source: G. R. Kneller et al., Comput. Phys. Commun. 91, 191 (1995); V. Calandrini et al., Collection SFN 12, 201 (2011).
    """
    first, x, cells, times = None, [], [], []
    for index, atoms in enumerate(_frames(frames)):
        first = atoms if first is None else first
        if not np.array_equal(atoms.numbers, first.numbers):
            raise ValueError(f"frames: frame {index} has other atoms than frame 0, or in another order")
        if not np.isfinite(atoms.positions).all():
            raise ValueError(f"frames: frame {index} has positions that are not finite")
        x.append(atoms.positions)
        cells.append(atoms.cell.complete().array)
        times.append(atoms.info.get("time_ps"))
    if len(x) < 2 or len(first) < 2:
        raise ValueError(f"frames: expected two or more, of two or more atoms, got {len(x)} of {0 if first is None else len(first)}")
    chosen = np.ones(len(first), bool) if element is None else np.array(first.get_chemical_symbols()) == str(element)
    if not chosen.any():
        raise ValueError(f"element: no {element} among {first.get_chemical_formula()}")
    interval = _interval(times) if interval is None else _check.number("interval", interval, "ps", above=0)
    x = _unwrapped(np.array(x), np.array(cells), first.pbc) if wrapped else np.array(x)
    masses = first.get_masses()
    x -= (np.einsum("i,tia->ta", masses, x) / masses.sum())[:, None]
    n, length = chosen.sum(), len(x)
    x = x[:, chosen].reshape(length, -1)
    x -= x.mean(0)  # squares no larger than they must be: the two sums nearly cancel
    power = np.zeros(length + 1)
    width = max(1, _TOGETHER // length)
    for begin in range(0, x.shape[1], width):
        power += (np.abs(np.fft.rfft(x[:, begin:begin + width], 2 * length, axis=0))**2).sum(1)
    products = np.fft.irfft(power, 2 * length)[:length]
    sums = np.concatenate([[0.0], np.cumsum((x**2).sum(1))])
    m = np.arange(length)
    squares = (sums[length - m] + sums[length] - sums[m] - 2 * products) / (n * (length - m))
    squares[0] = 0.0
    return interval * m, np.maximum(squares, 0.0)  # not below zero by rounding


def _interval(times):
    """ps between frames, from their times"""
    if None in times:
        raise ValueError(f"interval: frame {times.index(None)} has no time_ps; give the ps between frames")
    steps = np.diff(np.array(times, float))
    odd = ~((np.abs(steps - steps[0]) <= 1e-6 * steps[0]) & (steps > 0))
    if odd.any():
        index = int(np.argmax(odd))
        raise ValueError(f"frames: expected equal intervals > 0, frame {index + 1} comes {steps[index]:g} ps after frame {index}, "
                         f"frame 1 {steps[0]:g} ps after frame 0; leave some out")
    return float(steps[0])


def _unwrapped(x, cells, pbc):
    """Positions (T, n, 3) with each displacement along a lattice vector the shortest there is."""
    flat = ~(np.abs(np.linalg.det(cells)) > 1e-9 * np.linalg.norm(cells, axis=2).prod(1))
    if flat.any():
        raise ValueError(f"frames: the cell of frame {np.argmax(flat)} has no volume, its atoms cannot be unwrapped")
    s = x @ np.linalg.inv(cells)
    s[1:] -= np.cumsum(np.rint(np.diff(s, axis=0)) * pbc, axis=0)
    return s @ cells


def diffusion(times, msd, window=None):
    """Diffusion coefficient, from the straight line that fits best to a mean squared displacement.

        msd = a + 6 D t;    standard error of D: sqrt(sum residual^2 / (m - 2) / sum (t - mean t)^2) / 6

    times, msd: (m,) ps, (m,) angstrom^2, from fastmd.msd
    window    : (first, last) ps to fit in; None takes a tenth to a half of the longest time: past the flight between
                collisions, and where there are still origins to average over
    Returns D and its standard error in angstrom^2/ps; times 1e-4 that is cm^2/s.  The error is that of the fit, as if its
    points were independent.  They are not, and the spread of D between runs is much larger, in liquid argon a hundred times.
    Pieces of the run show it:

        d = [fastmd.diffusion(*fastmd.msd(frames[k:k + 250]))[0] for k in range(0, 1000, 250)]
        np.mean(d), np.std(d, ddof=1) / 4**0.5

    Raises ValueError for arrays that do not match and fewer than three points in the window.
    Source: A. Einstein, Ann. Phys. 322, 549 (1905).
    """
    times, msd = _check.floats("times", times), _check.floats("msd", msd)
    if times.ndim != 1 or times.shape != msd.shape:
        raise ValueError(f"times and msd: expected two (m,) arrays, got {times.shape} and {msd.shape}")
    if window is None:
        window = 0.1 * times.max(initial=0), 0.5 * times.max(initial=0)
    if np.shape(window) != (2,):
        raise ValueError(f"window: expected (first, last) in ps, got {window!r}")
    first, last = (_check.number("window", value, "ps", at_least=0) for value in window)
    inside = (times >= first) & (times <= last)
    t, y = times[inside], msd[inside]
    if len(np.unique(t)) < 3:
        raise ValueError(f"window: expected three or more times from {first:g} to {last:g} ps, got {len(np.unique(t))} of {len(times)}")
    t = t - t.mean()
    slope = (t @ y) / (t @ t)
    residual = y - y.mean() - slope * t
    return float(slope / 6), float(np.sqrt(residual @ residual / (len(t) - 2) / (t @ t)) / 6)


def energy_drift(times_ps, energies, n_atoms):
    """Slope of the least-squares line through an energy, in meV per atom and ps.

    times_ps: (m,) ps;  energies: (m,) eV of the whole structure;  n_atoms: its atoms

        energy_drift(thermo.times, thermo.total, len(atoms))

    Raises ValueError for arrays that do not match or times that are all the same.
    """
    times, energies = _check.floats("times_ps", times_ps), _check.floats("energies", energies)
    if times.ndim != 1 or times.shape != energies.shape:
        raise ValueError(f"times_ps and energies: expected two (m,) arrays, got {times.shape} and {energies.shape}")
    n_atoms = _check.whole("n_atoms", n_atoms, 1)
    times = times - times.mean() if len(times) else times
    if not times.any():
        raise ValueError("times_ps: expected at least two different times")
    return float(1000 * (times @ energies) / (times @ times) / n_atoms)
