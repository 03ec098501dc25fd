"""fastmd: Behler-Parrinello neural-network potentials, from reference data to molecular dynamics.

Units everywhere: eV, angstrom, fs, amu, kelvin; stress in eV/angstrom^3 with ASE's sign (tension is positive).
"""

import importlib

__version__ = "0.1.0"

# Imported when first asked for, so that `import fastmd` stays light.
_HOME = {
    "Calculator": "calculator",
    "check": "datacheck",
    "G1": "symmetry", "G2": "symmetry", "G3": "symmetry", "G4": "symmetry", "G5": "symmetry",
    "G12": "symmetry", "G13": "symmetry", "G20": "symmetry", "G21": "symmetry", "G22": "symmetry", "G23": "symmetry", "G24": "symmetry", "G25": "symmetry",
    "Descriptor": "symmetry", "SymmetryFunction": "symmetry",
    "distances": "sets", "health": "sets", "load_set": "sets", "make_set": "sets", "save_set": "sets",
    "Network": "network",
    "NNPotential": "potential", "Potential": "potential", "Result": "potential",
    "LennardJones": "classical", "PairPotential": "classical", "StillingerWeber": "classical", "Vashishta": "classical",
    "ExtrapolationError": "extrapolation", "ExtrapolationWarning": "extrapolation", "outside_range": "extrapolation",
    "MD": "md", "maxwell_boltzmann": "md",
    "EqualInterval": "sample", "ForceHistogram": "sample", "Interval": "sample", "RandomChoice": "sample", "SamplingPlan": "sample",
    "sample_lammps": "sample", "sample_md": "sample", "sample_pool": "sample", "LammpsMD": "lammps_md",
    "PairTable": "repulsion", "Repulsion": "repulsion", "ZBL": "repulsion",
    "elastic_constants": "validate", "energy_volume": "validate",
    "Pairs": "pairs", "Verlet": "pairs", "find_pairs": "pairs",
    "diffusion": "observe", "energy_drift": "observe", "msd": "observe", "rdf": "observe",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    home = "symmetry" if name[:1] == "G" and name[1:].isdigit() else _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'fastmd' has no attribute {name!r}")
    return getattr(importlib.import_module("." + home, __name__), name)


def __dir__():
    return __all__ + ["__version__"]
