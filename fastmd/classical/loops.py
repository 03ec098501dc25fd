"""The compiled loops of the classical potentials; numba is imported here, and this file when a potential is first computed.

Each takes a full neighbour list atom by atom. `_distances` computes d = x[j] - x[i] + shift @ cell and r^2 of a whole row, `_pack` brings together what
lies within reach, one element at a time (so a list with a skin will do), and what is dear then runs over packed neighbours of one element, in loops that
LLVM turns into vectors. Every pair is visited from both its ends, so that pairs, which are many, write to no other atom; triplets, which are few, do.

All of them are in one file because numba looks at the outer function's file alone to see whether what it kept on disk is stale.
"""
import math

import numba
import numpy as np

# A sum is reordered to become one of vectors, nothing else; inf and NaN mean what they mean (atoms on top of each other end there).
SUMS = {"contract", "reassoc", "nsz", "arcp"}
# Distances are not reordered: d_ij = -d_ji to the bit, else a pair at the cutoff could count for one of its atoms only.
EXACT = {"contract"}


def compiled(order, keep=True):
    """numba.njit with numpy's errors, 1/0 is inf; what it makes is kept on disk."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": order}

    def decorate(function):
        try:
            return numba.njit(cache=keep, **options)(function)
        except RuntimeError:  # nowhere to keep it: neither the package's folder nor the user's can be written to
            return numba.njit(**options)(function)
    return decorate


# -------------------------------------------------------------------------------------------------------- what all share

@compiled(EXACT)
def _longest(first):
    most = 0
    for i in range(len(first) - 1):
        most = max(most, first[i + 1] - first[i])
    return most + 1  # `_pack` writes one past the last


@compiled(EXACT)
def _distances(i, x, cell, species, first, j, shift, row, kind):
    """row (4, most): x, y, z of d and r^2 of the row of atom i, kind (most,) the species.  Returns how many they are."""
    x0, x1, x2 = x[i, 0], x[i, 1], x[i, 2]
    ax, ay, az, bx, by, bz, cx, cy, cz = (  # by name, as numba cannot know that what is written below is not the cell
        cell[0, 0], cell[0, 1], cell[0, 2], cell[1, 0], cell[1, 1], cell[1, 2], cell[2, 0], cell[2, 1], cell[2, 2])
    dx, dy, dz, r2 = row[0], row[1], row[2], row[3]
    start, count = np.uint64(first[i]), np.uint64(first[i + 1] - first[i])  # unsigned: else numba asks of every index whether it counts from the end
    for q in range(count):
        k = np.uint32(j[start + q])
        a, b, c = shift[start + q, 0], shift[start + q, 1], shift[start + q, 2]
        X = x[k, 0] - x0 + (a * ax + b * bx + c * cx)
        Y = x[k, 1] - x1 + (a * ay + b * by + c * cy)
        Z = x[k, 2] - x2 + (a * az + b * bz + c * cz)
        dx[q], dy[q], dz[q], r2[q] = X, Y, Z, X * X + Y * Y + Z * Z
        kind[q] = species[k]
    return count


@compiled(EXACT)
def _pack(row, kind, count, species, reach2, d, at):
    """Of a row, those of one species with r^2 < reach2 into d (4, most); at (most,) says where in the row they stand.  Returns how many they are.

    Each neighbour is written, and the next one over it if it was none of them: no branch, which here no processor could foresee.
    """
    n = np.uint64(0)
    (x, y, z, r2), (dx, dy, dz, dr2) = (row[0], row[1], row[2], row[3]), (d[0], d[1], d[2], d[3])
    for q in range(count):
        s = r2[q]
        dx[n], dy[n], dz[n], dr2[n], at[n] = x[q], y[q], z[q], s, q
        n += np.uint64((kind[q] == species) & (not s >= reach2))  # NaN comes along, to be noticed
    return n


@compiled(EXACT)
def _decays(r, rate, n, result):
    """exp(-rate r) of n numbers, rate r >= 0, to a unit in the last place; what is below 1e-307 is 3e-308.

    2^k exp(f) with |f| < ln 2 / 2 and the Taylor series of exp(f).  A loop of it becomes one of vectors, which a loop of the library's does not.
    """
    for q in range(n):
        x = max(-rate * r[q], -708.0)
        t = x * 1.4426950408889634 + 6755399441055744.0  # 1.5 2^52: the sum is rounded to whole numbers, k stands in its last bits
        k = t - 6755399441055744.0
        f = x - k * 0.6931471803691238 - k * 1.9082149292705877e-10  # ln 2 in two parts
        s = 1 / 6227020800
        s = s * f + 1 / 479001600
        s = s * f + 1 / 39916800
        s = s * f + 1 / 3628800
        s = s * f + 1 / 362880
        s = s * f + 1 / 40320
        s = s * f + 1 / 5040
        s = s * f + 1 / 720
        s = s * f + 1 / 120
        s = s * f + 1 / 24
        s = s * f + 1 / 6
        s = s * f + 0.5
        s = s * f + 1.0
        s = s * f + 1.0
        bits = np.float64(t).view(np.int64)
        result[q] = s * np.int64((bits + 1023) << 52).view(np.float64)


@compiled(EXACT)
def _power(x, p):
    """x^p; by squaring where p is whole, as it mostly is: the library's pow takes ten times as long."""
    if p != math.floor(p) or not 0 <= p <= 64:
        return x**p
    result, n = 1.0, int(p)
    while n:
        if n & 1:
            result *= x
        x *= x
        n >>= 1
    return result


@compiled(EXACT)
def _finite(x):
    return math.isfinite(x)  # where sums are reordered, x - x is zero whatever x is


@compiled(EXACT)
def _symmetric(virial, factor, xx, yy, zz, yz, xz, xy):
    virial[0, 0] += factor * xx
    virial[1, 1] += factor * yy
    virial[2, 2] += factor * zz
    for a, b, v in ((1, 2, yz), (2, 1, yz), (0, 2, xz), (2, 0, xz), (0, 1, xy), (1, 0, xy)):
        virial[a, b] += factor * v


# -------------------------------------------------------------------------------------------------------------- two bodies

@compiled(SUMS)
def pair_rows(phi, names, tables, species, x, cell, first, j, shift, energies, forces, virial):
    """A pair potential: Lennard-Jones from its tables where phi is None (numba drops the other branch), else phi(r, a, b) with a <= b from names (ns,).

    tables (4, ns, ns): cutoff^2, 4 epsilon, sigma^2, shift; of phi the first alone.  Returns the first atom without finite energy and force, or -1.
    """
    ns, most = tables.shape[1], _longest(first)
    row, kind, d, at = np.empty((4, most)), np.empty(most, np.int32), np.empty((4, most)), np.empty(most, np.int32)
    dx, dy, dz, r2 = d[0], d[1], d[2], d[3]
    xx = yy = zz = yz = xz = xy = 0.0
    for i in range(len(x)):
        count = _distances(i, x, cell, species, first, j, shift, row, kind)
        a = species[i]
        e = fx = fy = fz = 0.0
        for b in range(ns):
            low, high = min(names[a], names[b]), max(names[a], names[b])
            for q in range(_pack(row, kind, count, b, tables[0, a, b], d, at)):
                if phi is None:
                    inverse = 1 / r2[q]
                    s2 = tables[2, a, b] * inverse
                    s6 = s2 * s2 * s2
                    e += tables[1, a, b] * (s6 * s6 - s6) - tables[3, a, b]
                    g = tables[1, a, b] * (6 * s6 - 12 * s6 * s6) * inverse  # (dE/dr) / r
                else:
                    r = math.sqrt(r2[q])
                    energy, slope = phi(r, low, high)
                    e += energy
                    g = slope / r
                gx, gy, gz = g * dx[q], g * dy[q], g * dz[q]
                fx += gx  # the whole pair force: the other visit of this pair serves the other atom
                fy += gy
                fz += gz
                xx += gx * dx[q]
                yy += gy * dy[q]
                zz += gz * dz[q]
                yz += gy * dz[q]
                xz += gx * dz[q]
                xy += gx * dy[q]
        if not _finite(e + fx + fy + fz):
            return i
        energies[i] = 0.5 * e
        forces[i, 0], forces[i, 1], forces[i, 2] = fx, fy, fz
    _symmetric(virial, -0.5, xx, yy, zz, yz, xz, xy)
    return -1


own_pair_rows = compiled(SUMS, keep=False)(pair_rows.py_func)  # numba cannot find a loop again that was built on a user's function


# ------------------------------------------------------------------------------------------------------------ three bodies

@compiled(SUMS)
def _bend(i, n, to, kind, r, u, screen, slope, edge, bends, energies, forces, virial):
    """All pairs of the n legs of atom i, and then what the legs' edges p = dE/dd do to forces and virial.

        strength b^2 / (1 + C b^2) screen_ij screen_ik,    b = cos theta_jik - cos theta_0

    to, kind: a leg's atom and species; u: its unit vector; slope: the r-derivative of its screen's logarithm; edge: what the pair has put there
    bends (3, ns, ns): strength, cos theta_0, C of the species of two legs.  A third of a triplet's energy goes to each of its atoms.
    """
    for m in range(n):
        for l in range(m):
            b, d = kind[m], kind[l]
            cos = u[m, 0] * u[l, 0] + u[m, 1] * u[l, 1] + u[m, 2] * u[l, 2]
            bend = cos - bends[1, b, d]
            soft = 1 / (1 + bends[2, b, d] * bend * bend)
            turn = bends[0, b, d] * screen[m] * screen[l] * bend * soft
            energy = turn * bend
            turn *= 2 * soft
            third = energy * (1 / 3)
            energies[i] += third
            energies[to[m]] += third
            energies[to[l]] += third
            along_m, along_l = energy * slope[m] - turn * cos / r[m], energy * slope[l] - turn * cos / r[l]
            for c in range(3):
                edge[m, c] += along_m * u[m, c] + turn / r[m] * u[l, c]
                edge[l, c] += along_l * u[l, c] + turn / r[l] * u[m, c]
    for m in range(n):
        for c in range(3):
            forces[i, c] += edge[m, c]
            forces[to[m], c] -= edge[m, c]
            for d in range(3):
                virial[d, c] -= r[m] * u[m, d] * edge[m, c]


@compiled(SUMS)
def sw_rows(pairs, bends, species, x, cell, first, j, shift, energies, forces, virial):
    """Stillinger-Weber.  pairs (7, ns, ns): a sigma, sigma, gamma sigma, A epsilon, B, p, q.

    bends (ns, 3, ns, ns), the centre first: lambda epsilon, cos theta_0, zero.
    Returns the first atom without finite energy and force, or -1.
    """
    ns, most = pairs.shape[1], _longest(first)
    row, kind, d, at = np.empty((4, most)), np.empty(most, np.int32), np.empty((4, most)), np.empty(most, np.int32)
    to, of, r, u = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most), np.empty((most, 3))
    screen, slope, edge = np.empty(most), np.empty(most), np.empty((most, 3))
    for i in range(len(x)):
        count = _distances(i, x, cell, species, first, j, shift, row, kind)
        a, n, e = species[i], 0, 0.0
        for b in range(ns):
            reach, sigma, decay, A = pairs[0, a, b], pairs[1, a, b], pairs[2, a, b], pairs[3, a, b]
            B, p, q = pairs[4, a, b], pairs[5, a, b], pairs[6, a, b]
            for m in range(_pack(row, kind, count, b, reach * reach, d, at)):
                r[n] = math.sqrt(d[3, m])
                inside = r[n] - reach
                if inside >= 0:  # where the root has been rounded up
                    continue
                repulsion = B * _power(sigma / r[n], p)
                attraction = _power(sigma / r[n], q)
                tail = A * math.exp(sigma / inside)
                energy = tail * (repulsion - attraction)
                g = -tail * (p * repulsion - q * attraction) / r[n] - energy * sigma / inside**2
                if not (_finite(energy) and _finite(g)):
                    return i
                e += energy
                screen[n] = math.exp(decay / inside)
                slope[n] = -decay / inside**2
                for c in range(3):
                    u[n, c] = d[c, m] / r[n]
                    edge[n, c] = 0.5 * g * u[n, c]
                to[n], of[n] = j[first[i] + at[m]], b
                n += 1
        energies[i] += 0.5 * e
        _bend(i, n, to, of, r, u, screen, slope, edge, bends[a], energies, forces, virial)
    return -1


@compiled(SUMS)
def _powers(base, p, n, result):
    """`_power` of n numbers, which `base` no longer holds afterwards."""
    if p != math.floor(p) or not 0 <= p <= 64:
        for q in range(n):
            result[q] = base[q]**p
        return
    for q in range(n):
        result[q] = 1.0
    left = int(p)
    while left:
        if left & 1:
            for q in range(n):
                result[q] *= base[q]
        for q in range(n):
            base[q] *= base[q]
        left >>= 1


@compiled(SUMS)
def vashishta_rows(pairs, bends, species, x, cell, first, j, shift, energies, forces, virial):
    """Vashishta.  pairs (12, ns, ns): rc, H, eta, Z Z e^2, 1 / lambda1, D, 1 / lambda4, W, U'(rc), U(rc) - rc U'(rc), r0, gamma.

    bends (ns, 3, ns, ns), the centre first: B, cos theta_0, C.
    Returns the first atom without finite energy and force, or -1.
    """
    ns, most = pairs.shape[1], _longest(first)
    row, kind, d, at = np.empty((4, most)), np.empty(most, np.int32), np.empty((4, most)), np.empty(most, np.int32)
    dx, dy, dz, r2 = d[0], d[1], d[2], d[3]
    length, base, steep, near, far = np.empty(most), np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    to, of, r, u = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most), np.empty((most, 3))
    screen, slope, edge = np.empty(most), np.empty(most), np.empty((most, 3))
    xx = yy = zz = yz = xz = xy = 0.0
    for i in range(len(x)):
        count = _distances(i, x, cell, species, first, j, shift, row, kind)
        a, legs = species[i], 0
        e = fx = fy = fz = 0.0
        for b in range(ns):
            rc, H, eta, Q, rate1, D = pairs[0, a, b], pairs[1, a, b], pairs[2, a, b], pairs[3, a, b], pairs[4, a, b], pairs[5, a, b]
            rate4, W, tilt, level, r0, gamma = pairs[6, a, b], pairs[7, a, b], pairs[8, a, b], pairs[9, a, b], pairs[10, a, b], pairs[11, a, b]
            n = _pack(row, kind, count, b, max(rc, r0)**2, d, at)
            for q in range(n):
                length[q] = math.sqrt(r2[q])
                base[q] = 1 / length[q]
            _powers(base, eta, n, steep)
            _decays(length, rate1, n, near)
            _decays(length, rate4, n, far)
            for q in range(n):
                rij = length[q]
                inverse = 1 / rij
                s2 = inverse * inverse
                steric = H * steep[q]
                coulomb = Q * inverse * near[q]
                dipole = D * s2 * s2 * far[q]
                dispersion = W * s2 * s2 * s2
                inside = 1.0 if rij < rc else 0.0  # r0 may be the larger one
                e += inside * (steric + coulomb - dipole - dispersion - level - tilt * rij)
                g = inside * inverse * (inverse * (dipole * (4 + rate4 * rij) + 6 * dispersion - eta * steric - coulomb * (1 + rate1 * rij)) - tilt)
                gx, gy, gz = g * dx[q], g * dy[q], g * dz[q]
                fx += gx
                fy += gy
                fz += gz
                xx += gx * dx[q]
                yy += gy * dy[q]
                zz += gz * dz[q]
                yz += gy * dz[q]
                xz += gx * dz[q]
                xy += gx * dy[q]
            if r0 > 0:
                for q in range(n):
                    rij = length[q]
                    if rij < r0:
                        to[legs], of[legs], r[legs] = j[first[i] + at[q]], b, rij
                        u[legs, 0], u[legs, 1], u[legs, 2] = dx[q] / rij, dy[q] / rij, dz[q] / rij
                        screen[legs] = math.exp(gamma / (rij - r0))
                        slope[legs] = -gamma / (rij - r0)**2
                        edge[legs, 0] = edge[legs, 1] = edge[legs, 2] = 0.0
                        legs += 1
        if not _finite(e + fx + fy + fz):
            return i
        energies[i] += 0.5 * e
        forces[i, 0] += fx
        forces[i, 1] += fy
        forces[i, 2] += fz
        _bend(i, legs, to, of, r, u, screen, slope, edge, bends[a], energies, forces, virial)
    _symmetric(virial, -0.5, xx, yy, zz, yz, xz, xy)
    return -1
