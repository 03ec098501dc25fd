"""Classical potentials: Lennard-Jones, Stillinger-Weber, Vashishta, and your own pair potential.

They are references to test against, start-up potentials for molecular dynamics, and the place where a user writes a
potential of his own.  The loops (loops.py) are compiled with numba, which is imported when it is first needed; they yield
energy, per-atom energies, forces and virial in one pass, O(n).
"""
from .pair import LennardJones, PairPotential
from .stillinger_weber import StillingerWeber, Triplet
from .vashishta import Vashishta, VashishtaTriplet

__all__ = ["LennardJones", "PairPotential", "StillingerWeber", "Triplet", "Vashishta", "VashishtaTriplet"]
