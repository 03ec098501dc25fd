"""The files of RuNNer and n2p2: potentials (a folder with input.nn, scaling.data and weights.NNN.data) and data sets (input.data), in and out.

A folder becomes an NNPotential that computes the same, so everything that these programs do to lengths and energies is folded into its numbers:

    E = sum_i [ network(scale(G_i)) / conv_energy + mean_energy + atom_energy ]

conv_length drops out: the files' functions are in physical lengths, and a G has the same value in any unit. normalize_nodes divides weights and
bias of a layer by its inputs. The files do not say their units; whoever reads them does.
Type 3 is fastmd's G4 and type 9 its G5; the other types have their own numbers (2, 12, 13, 20 to 25).

Sources: J. Behler, J. Chem. Phys. 134, 074106 (2011); A. Singraber, J. Behler, C. Dellago, J. Chem. Theory Comput. 15, 1827 (2019);
M. Gastegger et al., J. Chem. Phys. 148, 241709 (2018), types 12 and 13; M. P. Bircher, A. Singraber, C. Dellago,
Mach. Learn.: Sci. Technol. 2, 035026 (2021), types 20 to 25. The formats are those of n2p2's documentation.
"""

import itertools
import re
import warnings
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers

from . import _check
from .network import Network
from .symmetry import CUTOFF_TYPES, SymmetryFunction, _exact

LENGTHS = {"bohr": units.Bohr, "angstrom": 1.0, "nm": 10.0}
ENERGIES = {"hartree": units.Hartree, "eV": 1.0, "rydberg": units.Rydberg, "kcal/mol": units.kcal / units.mol, "kJ/mol": units.kJ / units.mol}

NO_ALPHA = ("hard", "tanh3", "tanh3n")  # these have no inner radius: n2p2 does not look at alpha
ACTIVATIONS = {"l": "identity", "t": "tanh", "s": "sigmoid", "p": "softplus", "r": "relu",
               "g": "gaussian", "c": "cos", "S": "revlogistic", "e": "exp", "h": "harmonic"}

# By type: our kind, how many neighbour elements it names, and its numbers in the order of the line. The compact ones end with their subtype.
_TYPES = {
    2: (2, 1, ("eta", "rs", "cutoff")),
    3: (4, 2, ("eta", "lambda_", "zeta", "cutoff")),  # and then rs, if any
    9: (5, 2, ("eta", "lambda_", "zeta", "cutoff")),
    12: (12, 0, ("eta", "rs", "cutoff")),
    13: (13, 0, ("eta", "rs", "lambda_", "zeta", "cutoff")),
    20: (20, 1, ("left", "cutoff")),
    21: (21, 2, ("left", "cutoff", "angle_left", "angle_right")),
    22: (22, 2, ("left", "cutoff", "angle_left", "angle_right")),
    23: (23, 0, ("left", "cutoff")),
    24: (24, 0, ("left", "cutoff", "angle_left", "angle_right")),
    25: (25, 0, ("left", "cutoff", "angle_left", "angle_right")),
}
_TYPE_OF = {kind: t for t, (kind, _, _) in _TYPES.items()}
_COMPACT = 20  # from this type on

_MODEL = frozenset("""number_of_elements elements cutoff_type scale_symmetry_functions center_symmetry_functions scale_symmetry_functions_sigma
    scale_min_short scale_max_short global_hidden_layers_short global_nodes_short global_activation_short normalize_nodes
    mean_energy conv_energy conv_length nnp_type nn_type_short""".split())
_REPEATED = frozenset("symfunction_short atom_energy element_hidden_layers_short element_nodes_short element_activation_short".split())
_ALIASES = {"symfunction": "symfunction_short", "nnp_generation": "nnp_type", "nnp_type_gen": "nnp_type", "nnp_gen": "nnp_type"}
_CHANGES = {  # what would change energies and cannot be done here: what to do about it
    **dict.fromkeys("""use_electrostatics use_electrostatic_nn electrostatic_type use_fixed_charges fixed_charge use_vdw vdw_type remove_vdw_energies
        committee_mode""".split(), "fastmd computes the short-range potential of the second generation only"),
    **dict.fromkeys("""global_symfunction_short element_symfunction_short global_pairsymfunction_short element_pairsymfunction_short
        pairsymfunction_short""".split(), "write a symfunction_short line for each function"),
    "cutoff_alpha": "write it as cutoff_type TYPE ALPHA",
}
_SILENT = frozenset("""
    global_hidden_layers_pair global_nodes_pair global_activation_pair element_hidden_layers_pair element_nodes_pair element_activation_pair
    conv_charge fixed_gausswidth initial_hardness ewald_truncation_error_method ewald_prec screen_electrostatics four_pi_epsilon
    global_hidden_layers_electrostatic global_nodes_electrostatic global_activation_electrostatic element_hidden_layers_electrostatic
    element_nodes_electrostatic element_activation_electrostatic
    random_seed test_fraction epochs use_short_forces normalize_data_set energy_fraction short_energy_fraction force_fraction
    short_force_fraction charge_fraction force_energy_ratio force_weight rmse_threshold rmse_threshold_energy
    short_energy_error_threshold rmse_threshold_force short_force_error_threshold rmse_threshold_charge rmse_threshold_trials
    rmse_threshold_trials_energy rmse_threshold_trials_force rmse_threshold_trials_charge selection_mode selection_mode_energy
    selection_mode_force selection_mode_charge task_batch_size_energy task_batch_size_force task_batch_size_charge
    use_old_weights_short use_old_weights_charge weights_min weights_max nguyen_widrow_weights_short nguyen_widrow_weights_charge
    precondition_weights main_error_metric write_trainpoints write_trainforces write_traincharges write_weights_epoch write_neuronstats
    write_trainlog repeated_energy_update updater_type parallel_mode jacobian_mode update_strategy gradient_type gradient_eta
    gradient_adam_eta gradient_adam_beta1 gradient_adam_beta2 gradient_adam_epsilon kalman_type kalman_epsilon kalman_q0 kalman_qtau
    kalman_qmin kalman_eta kalman_etatau kalman_etamax kalman_lambda_short kalman_nue_short memorize_symfunc_results
    runner_mode points_in_memory mix_all_points bond_threshold energy_threshold use_short_nn remove_atom_energies optmode_short_energy
    optmode_short_force calculate_forces calculate_stress print_mad analyze_error analyze_composition random_number_type biasweights_min
    biasweights_max short_energy_group short_force_group joint_energy_force_update kalman_damp_short kalman_damp_force fitting_unit
    force_update_scaling force_threshold max_energy max_force separate_kalman_short separate_bias_ini_short reset_kalman
    save_kalman_matrices read_kalman_matrices use_noisematrix noise_energy noise_force use_systematic_weights_short use_old_scaling
    use_atom_charges use_atom_energies growth_mode data_clustering find_contradictions check_input_forces detect_saturation stop_if_nans
    write_fit_statistics write_unformatted read_unformatted write_temporary_weights write_pdb write_xyz print_force_components
    print_date_and_time detailed_timing detailed_timing_epoch silent_mode debug_mode prepare_md md_mode calculate_final_force
    """.split())

_LARGEST = 1 << 28  # bytes of a file of a potential
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_WORD = re.compile(r"[^ \t]+")
_OURS = "# Written by fastmd"


def unit(name, value, table):
    """(name, size) of a unit of `table`, by its name or by its size in angstrom or eV.

    Raises ValueError for neither.
    """
    known = {n.lower(): n for n in table}
    if isinstance(value, str) and value.lower() in known:
        n = known[value.lower()]
        return n, float(table[n])
    try:
        return "custom", _check.number(name, value, above=0)
    except ValueError:
        raise ValueError(f"{name}: expected one of {', '.join(table)}, or its size in {'angstrom' if 'bohr' in table else 'eV'}, got {value!r}") from None


@dataclass(frozen=True)
class _Line:
    """The words of a line, and where it stands."""

    path: object
    number: int
    words: list

    def fail(self, message):
        raise ValueError(f"{self.path}, line {self.number}: {message}")

    def expect(self, *counts):
        n = len(self.words)
        if n not in counts:
            self.fail(f"expected {' or '.join(map(str, counts))} words, got {n}, from {_shown(self.words[0])} on")

    def real(self, k, what):
        x = _number(self.words[k])
        if x is None:
            self.fail(f"{what}: expected a finite number, got {_shown(self.words[k])}")
        return x

    def positive(self, k, what):
        x = self.real(k, what)
        if not 1e-100 < x < 1e100:  # so that squares and quotients stay finite
            self.fail(f"{what} must be > 0, and of a size that can be computed with, got {_shown(self.words[k])}")
        return x

    def whole(self, k, what, low, high):
        w = self.words[k]
        if not _WHOLE.fullmatch(w) or not low <= int(w) <= high:
            self.fail(f"{what}: expected a whole number from {low} to {high}, got {_shown(w)}")
        return int(w)

    def one_of(self, k, what, names):
        if self.words[k] not in names:
            self.fail(f"{what}: expected one of {', '.join(names)}, got {_shown(self.words[k])}")
        return self.words[k]


def _number(word):
    """The finite float64 of a word, or None. Python's float takes more (1_000, infinity)."""
    x = float(word) if _NUMBER.fullmatch(word) else np.inf
    return x if abs(x) < np.inf else None


def _shown(word):
    return repr(_check.printable(word[:40]))


def _lines(path, comments="#"):
    """The lines of a file that hold anything but comments, a list of _Line.

    Raises ValueError for what is no file, is too large, or does not end with a newline: what was cut within a line may look whole (12.0, 1).
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError(f"{path}: there is no such file")
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path}: larger than {_LARGEST >> 20} MiB, no file of a potential")
        rows = path.read_bytes().split(b"\n")
    except OSError as e:
        raise ValueError(f"{path}: cannot be read ({e.strerror})") from None
    if rows.pop():
        raise ValueError(f"{path}, line {len(rows) + 1}: ends without a newline, so the file is truncated; if it is whole, add the newline")
    found = []
    for number, row in enumerate(rows, 1):
        text = row.decode("latin-1").rstrip("\r")
        for c in comments:
            text = text.partition(c)[0]
        if words := _WORD.findall(text):
            found.append(_Line(path, number, words))
    return found


# ---- a potential, in

def read_potential(folder, length="bohr", energy="hartree"):
    """What NNPotential.from_runner hands to the constructor: a dict of its arguments."""
    folder = Path(_check.path("folder", folder))
    chosen = unit("length", length, LENGTHS) + unit("energy", energy, ENERGIES)
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder with input.nn, scaling.data and weights.NNN.data")
    settings = _Settings(folder / "input.nn")
    _same_units(settings.path, chosen)
    functions = settings.functions()
    scaling = settings.scaling()
    statistics = _read_scaling(folder / "scaling.data", functions, scaling, settings)
    mean, per_energy = settings.normalisation[:2]
    networks, offsets = {}, {}
    for e in settings.elements:
        networks[e] = _read_weights(folder / f"weights.{atomic_numbers[e]:03d}.data", e, len(functions[e]), settings, per_energy)
        offsets[e] = settings.offsets[e] + mean
        if not np.isfinite(offsets[e]):
            raise ValueError(f"{settings.path}: mean_energy + atom_energy of {e} is not finite")
    note = f"the RuNNer or n2p2 folder {_check.printable(folder.resolve().name)}, read as {chosen[0]} and {chosen[2]}"
    return {"functions": functions, "networks": networks, "scaling": scaling, "statistics": statistics, "offsets": offsets,
            "notes": {"source": note}, "units": chosen}


def _same_units(path, chosen):
    """A folder that fastmd wrote says its units: others are a mistake."""
    with open(path, encoding="utf-8", errors="replace") as f:
        said = re.match(_OURS + r".*lengths in (\S+) \((\S+) angstrom\), energies in (\S+) \((\S+) eV\)", f.readline(1000))
    if said and not all(_number(s) is not None and abs(float(s) / mine - 1) < 1e-12 for s, mine in ((said[2], chosen[1]), (said[4], chosen[3]))):
        name = lambda name, size: size if name == "custom" else name  # noqa: E731
        raise ValueError(f"{path}, line 1: fastmd wrote this folder in {said[1]} and {said[3]}, it is read as {chosen[0]} and {chosen[2]}; "
                         f"read it with length {name(said[1], said[2])} and energy {name(said[3], said[4])}")


class _Settings:
    """input.nn, read strictly: unknown keywords warn, what would change energies and is not known here is an error."""

    def __init__(self, path):
        self.path = path
        self._found = {}
        for line in _lines(path, "#!"):
            self._sort_in(line)
        self._generation()
        self.elements = self._elements()
        self.normalisation = self._normalisation()
        self.offsets = dict.fromkeys(self.elements, 0.0)
        for e, (line,) in self._by_element("atom_energy", 3, once=True).items():
            self.offsets[e] = line.real(2, "atom_energy")
        self.normalize_nodes = self._flag("normalize_nodes")

    def _sort_in(self, line):
        key = _ALIASES.get(line.words[0], line.words[0])
        if key in _CHANGES:
            line.fail(f"{key} changes energies, and cannot be honoured: {_CHANGES[key]}")
        if key in _MODEL or key in _REPEATED:
            self._found.setdefault(key, []).append(line)
            if key in _MODEL and len(self._found[key]) > 1:
                line.fail(f"{key} stands twice, first in line {self._found[key][0].number}")
        elif not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", key, re.ASCII):
            line.fail(f"expected a keyword, got {_shown(key)}")
        elif key not in _SILENT:
            if near := get_close_matches(key.lower(), (*_MODEL, *_REPEATED, *_ALIASES), 1, 0.82):  # passing over a misspelt one would change energies
                line.fail(f"unknown keyword {_shown(key)}; is {near[0]} meant? Mend it, or take the line out")
            warnings.warn(f"{line.path}, line {line.number}: unknown keyword {_shown(key)} is passed over", stacklevel=5)

    def _one(self, key, *counts, needed=False):
        line = self._found.get(key, [None])[0]
        if line is None and needed:
            raise ValueError(f"{self.path}: there is no line {key}")
        if line is not None:
            line.expect(*counts)
        return line

    def _flag(self, key):
        return self._one(key, 1) is not None

    def _by_element(self, key, *counts, once=False):
        """{element: its lines}"""
        found = {}
        for line in self._found.get(key, ()):
            if counts:
                line.expect(*counts)
            elif len(line.words) < 3:
                line.fail(f"{key}: expected an element and values after it")
            e = line.one_of(1, f"the element of {key}", self.elements)
            found.setdefault(e, []).append(line)
            if once and len(found[e]) > 1:
                line.fail(f"{key} {e} stands twice, first in line {found[e][0].number}")
        return found

    def _generation(self):
        if (line := self._one("nnp_type", 2)) and line.words[1] not in ("2G-HDNNP", "2G", "2"):
            line.fail(f"{line.words[0]} {_shown(line.words[1])}: fastmd computes 2G-HDNNP only, without charges and electrostatics")
        if (line := self._one("nn_type_short", 2)) and line.words[1] != "1":
            line.fail(f"nn_type_short {_shown(line.words[1])}: fastmd computes atomic networks (1) only")

    def _elements(self):
        """In the order of the atomic numbers: that is how both programs count them."""
        count = self._one("number_of_elements", 2, needed=True).whole(1, "number_of_elements", 1, 118)
        line = self._one("elements", count + 1, needed=True)
        for k, e in enumerate(line.words[1:], 1):
            if atomic_numbers.get(e, 0) < 1:
                line.fail(f"elements: {_shown(e)} is no element symbol")
            if e in line.words[1:k]:
                line.fail(f"elements: {e} stands twice")
        return sorted(line.words[1:], key=atomic_numbers.get)

    def _normalisation(self):
        """(mean_energy, conv_energy, conv_length)"""
        keys = "mean_energy", "conv_energy", "conv_length"
        found = [self._one(k, 2) for k in keys]
        if all(line is None for line in found):
            return 0.0, 1.0, 1.0
        if None in found:
            line = next(line for line in found if line)
            line.fail(f"{line.words[0]} without {', '.join(k for k, x in zip(keys, found) if x is None)}: mean_energy, conv_energy and conv_length go together")
        return found[0].real(1, keys[0]), found[1].positive(1, keys[1]), found[2].positive(1, keys[2])

    def scaling(self):
        """(kind, low, high) as NNPotential has them"""
        scale, center, sigma = (self._flag(k) for k in ("scale_symmetry_functions", "center_symmetry_functions", "scale_symmetry_functions_sigma"))
        kind = "center-minmax" if scale and center else "minmax" if scale else "center" if center else "sigma" if sigma else "none"
        low, high = self._one("scale_min_short", 2), self._one("scale_max_short", 2)
        values = low.real(1, "scale_min_short") if low else 0.0, high.real(1, "scale_max_short") if high else 1.0
        if not 0 < values[1] - values[0] < np.inf:
            (high or low).fail(f"scale_max_short must be above scale_min_short, got {values[0]:g} to {values[1]:g}")
        return kind, *values

    def functions(self):
        """{element: [SymmetryFunction, ...]} in the order in which n2p2 numbers them"""
        kind, alpha = "cosine", 0.0
        if line := self._one("cutoff_type", 2, 3):
            kind = CUTOFF_TYPES[line.whole(1, "cutoff_type", 0, len(CUTOFF_TYPES) - 1)]
            alpha = line.real(2, "the inner radius of cutoff_type") if len(line.words) > 2 else 0.0
            if not 0 <= alpha < 1:
                line.fail(f"the inner radius of cutoff_type must be from 0 to below 1, got {alpha:g}")
        found = {e: [] for e in self.elements}
        for e, lines in self._by_element("symfunction_short").items():
            for line in lines:
                found[e].append(self._function(line, kind, 0.0 if kind in NO_ALPHA else alpha))
        for e, fs in found.items():
            if not fs:
                raise ValueError(f"{self.path}: there is no line symfunction_short for {e}")
            fs.sort(key=lambda f: order(f, self.elements, self.normalisation[2]))
        return found

    def _function(self, line, cutoff_type, alpha):
        words = line.words
        t = line.whole(2, "the type of the function", 0, 99)
        if t not in _TYPES:
            line.fail(f"type {t} of symmetry function: fastmd has {', '.join(map(str, _TYPES))}")
        kind, n, names = _TYPES[t]
        if t in (3, 9):
            line.expect(9, 10)
            names += ("rs",) * (len(words) - 9)
        else:
            line.expect(3 + n + len(names) + (t >= _COMPACT))
        elements = [line.one_of(3 + k, "neighbour element", self.elements) for k in range(n)]
        fields = {name: (line.positive if name == "cutoff" else line.real)(3 + n + k, name.rstrip("_")) for k, name in enumerate(names)}
        fields |= {"cutoff_type": words[-1]} if t >= _COMPACT else {"cutoff_type": cutoff_type, "alpha": alpha}
        try:
            return SymmetryFunction(kind, tuple(sorted(elements, key=self.elements.index)), **fields)
        except ValueError as e:
            line.fail(_check.printable(e))

    def architectures(self, e, n_inputs):
        """The widths, input first, that the lines for an element may mean: [(widths, ...), ...], and the activations of its layers.

        element_nodes_short is read in three ways: as n2p2 documents it (all hidden layers), as n2p2 of 2024 reads it (the last hidden layer stays
        at its global width), and as RuNNer and older n2p2 have it (number of the layer, its width). The file of the weights tells which is meant.
        """
        n = n_global = self._one("global_hidden_layers_short", 2)
        if n_global is not None:
            n = n_global = n_global.whole(1, "global_hidden_layers_short", 0, 1000)
        for line in self._by_element("element_hidden_layers_short", 3, once=True).get(e, ()):
            n = line.whole(2, "element_hidden_layers_short", 0, 1000)
        if n is None:
            raise ValueError(f"{self.path}: there is no line global_hidden_layers_short, and none for {e}")

        def widths(line, start):
            return [line.whole(k, "nodes", 1, 1_000_000) for k in range(start, len(line.words))]

        general = None
        if n == n_global and (line := self._one("global_nodes_short", n + 1, needed=n > 0)):
            general = widths(line, 1)
        readings = []
        if lines := self._by_element("element_nodes_short").get(e, []):
            if len(lines) == 1 and len(lines[0].words) == n + 2:
                written = widths(lines[0], 2)
                readings += [written] + ([[*written[:-1], general[-1]]] if general else [])
            if general and all(len(line.words) == 4 for line in lines) and (n != 2 or len(lines) > 1 or lines[0].words[2] in ("1", "2")):
                own = list(general)
                for line in lines:
                    own[line.whole(2, "the layer", 1, n) - 1] = line.whole(3, "nodes", 1, 1_000_000)
                readings.append(own)
            if not readings:
                lines[-1].fail(f"element_nodes_short {e}: expected one line with the nodes of {n} hidden layers, or lines with a layer and its nodes")
        elif general is not None:
            readings.append(general)
        elif n == 0:
            readings.append([])
        else:
            raise ValueError(f"{self.path}: {e} has its own number of hidden layers; there is no line element_nodes_short {e} for them")
        return [tuple([n_inputs, *r, 1]) for r in dict.fromkeys(map(tuple, readings))], self._activations(e, n, n_global)

    def _activations(self, e, n, n_global):
        def letters(line, start):
            return [ACTIVATIONS[line.one_of(k, "activation", ACTIVATIONS)] for k in range(start, len(line.words))]

        general = letters(line, 1) if n == n_global and (line := self._one("global_activation_short", n + 2)) else None
        if lines := self._by_element("element_activation_short", once=True).get(e):
            line = lines[0]
            if line.words[2].isdecimal():
                line.fail("activations of single nodes cannot be honoured")
            line.expect(n + 3)
            own = letters(line, 2)
            if general and own[-1] != general[-1]:  # n2p2 of 2024 takes the global one: no way to know what the potential was trained with
                line.fail(f"the output of {e} is {line.words[-1]} here, and another in global_activation_short, which n2p2 follows: make them the same")
            return own
        if general is None:
            raise ValueError(f"{self.path}: there is no line global_activation_short for the {n} hidden layers of {e}, and no element_activation_short {e}")
        return general


def order(f, elements, length=1.0):
    """What n2p2 sorts the functions of an element by: the type first, then numbers in normalised lengths (in which two may become equal)."""
    t = _TYPE_OF[f.kind]
    index = tuple(elements.index(e) for e in f.elements)
    if t >= _COMPACT:
        return t, f.cutoff_type, *index, f.cutoff * length, f.left * length, f.angle_left, f.angle_right
    return t, f.cutoff * length, f.eta / (length * length), f.rs * length, f.zeta, f.lambda_, *index


def _read_scaling(path, functions, scaling, settings):
    """{element: (functions, 4)}: min, max, mean, sigma; each line must name the function it is for."""
    kind, low, high = scaling
    if kind == "none" and not path.exists():
        return None
    lines = _lines(path)
    expected = [(e, k) for e in functions for k in range(len(functions[e]))]
    if len(lines) == len(expected) + 1 and len(lines[-1].words) == 2:
        lines.pop()  # RuNNer ends with the range of the energies
    if len(lines) != len(expected):
        raise ValueError(f"{path}, line {lines[-1].number if lines else 1}: holds {len(lines)} functions, {settings.path} has {len(expected)}; one of them is not whole")
    columns = 5 if len(lines[0].words) == 5 and kind != "sigma" else 6  # older files have no sigma
    found = {e: np.zeros((len(fs), 4)) for e, fs in functions.items()}
    for line, (e, k) in zip(lines, expected):
        number = list(functions).index(e) + 1
        line.expect(columns)
        if (line.whole(0, "element", 1, 118), line.whole(1, "function", 1, len(expected))) != (number, k + 1):
            line.fail(f"expected function {k + 1} of element {number} ({e}), got {line.words[1]} of {line.words[0]}")
        for q, what in enumerate(("min", "max", "mean", "sigma")[:len(line.words) - 2]):
            found[e][k, q] = line.real(q + 2, what)
        smallest, largest, _, sigma = found[e][k]
        span = {"minmax": largest - smallest, "center-minmax": largest - smallest, "sigma": sigma}.get(kind, 1.0)
        if smallest > largest:
            line.fail(f"min {smallest:g} is above max {largest:g}")
        if sigma < 0:
            line.fail(f"sigma {sigma:g} is below 0")
        if not span > 1e-300 * max(1.0, high - low) or not np.isfinite(span):
            line.fail(f"the function does not vary ({'sigma' if kind == 'sigma' else 'max - min'} is {span:g}), it cannot be scaled: leave it out and train anew")
    return found


def _read_weights(path, e, n_inputs, settings, per_energy):
    """The Network of an element, in energies instead of normalised ones."""
    lines = _lines(path)
    readings, activations = settings.architectures(e, n_inputs)
    if not lines:
        raise ValueError(f"{path}: holds no weights")
    named = len(lines[0].words) > 1
    values = []
    for line in lines:
        line.expect(*((7,) if line.words[1:2] == ["a"] else (5,)) if named else (1,))
        values.append(line.real(0, "weight"))
    counts = [sum((a + 1) * b for a, b in itertools.pairwise(widths)) for widths in readings]
    fitting = [w for w, count in zip(readings, counts) if count == len(values)]
    if not fitting:
        wanted = " or ".join(f"{count} of {'-'.join(map(str, w))}" for w, count in zip(readings, counts))
        raise ValueError(f"{path}, line {lines[-1].number}: holds {len(values)} weights and biases, {settings.path} wants {wanted}; one of them is not whole")
    if named:
        wrong = [next(((line, words) for line, words in zip(lines, _places(w)) if line.words[1:] != words), None) for w in fitting]
        if all(wrong):
            line, words = wrong[0]
            line.fail(f"expected the value of '{' '.join(words)}' ({'weight' if words[0] == 'a' else 'bias'}, number, layer, node ...), got {_shown(' '.join(line.words[1:]))}")
        fitting = [w for w, x in zip(fitting, wrong) if x is None]
    if len(fitting) > 1:
        raise ValueError(f"{path}: its {len(values)} values fit {' and '.join('-'.join(map(str, w)) for w in fitting)}; say which with element_nodes_short {e} for all hidden layers")
    values, start, layers = np.array(values), 0, []
    for n_in, n_out, activation in zip(fitting[0], fitting[0][1:], activations):
        w = values[start:start + n_in * n_out].reshape(n_in, n_out).T
        b = values[start + n_in * n_out:start + (n_in + 1) * n_out]
        start += (n_in + 1) * n_out
        layers.append((w / n_in, b / n_in, activation) if settings.normalize_nodes else (w, b, activation))
    if per_energy != 1:
        w, b, activation = layers[-1]
        with np.errstate(over="ignore"):
            if activation == "identity":
                layers[-1] = w / per_energy, b / per_energy, activation
            else:  # the energy is f(...) / conv_energy: one more layer, of one weight
                layers.append((np.array([[1 / per_energy]]), np.zeros(1), "identity"))
    try:
        return Network(tuple(layers))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _places(widths):
    """What follows each value in a file of weights: a, number, layer, node, next layer, next node; or b, number, layer, node."""
    number = 0
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(widths), 1):
        for j in range(1, n_in + 1):
            for k in range(1, n_out + 1):
                number += 1
                yield ["a", str(number), str(layer - 1), str(j), str(layer), str(k)]
        for k in range(1, n_out + 1):
            number += 1
            yield ["b", str(number), str(layer), str(k)]


# ---- a potential, out

def write_potential(potential, folder):
    """The work of NNPotential.to_runner, which says what it does."""
    folder = Path(_check.path("folder", folder))
    elements = sorted(potential.elements, key=atomic_numbers.get)
    if atomic_numbers[elements[0]] < 1:
        raise ValueError(f"to_runner: the files of RuNNer and n2p2 cannot hold the element {elements[0]}")
    if potential.n_members > 1:
        raise ValueError(f"to_runner: the files of RuNNer and n2p2 hold one network per element, the potential is a committee of {potential.n_members}; write each of its members to a folder of its own")
    if potential.repulsion is not None:
        raise ValueError("to_runner: the files of RuNNer and n2p2 cannot hold a repulsion; train without one")
    if potential.statistics is None:
        raise ValueError("to_runner: scaling.data wants min, max, mean and sigma of each function, the potential has no statistics")
    kinds = set()
    for e in elements:
        for f in potential.functions[e]:
            if f.kind not in _TYPE_OF:
                raise ValueError(f"to_runner: the files of RuNNer and n2p2 cannot hold {f} of {e}: use {', '.join(f'G{k}' for k in _TYPE_OF)}"
                                 + (" (a G2 with eta 0 is a G1)" if f.kind == 1 else ""))
            if _TYPE_OF[f.kind] < _COMPACT:
                kinds.add((f.cutoff_type, 0.0 if f.cutoff_type in NO_ALPHA else f.alpha))
    if len(kinds) > 1:
        raise ValueError(f"to_runner: input.nn holds one cutoff_type for all functions, the potential has {', '.join(f'{k} (alpha {a:g})' for k, a in sorted(kinds))}")
    sorting = {}
    for e in elements:
        fs = potential.functions[e]
        sorting[e] = sorted(range(len(fs)), key=lambda k: order(_in_order(fs[k], elements), elements))
    texts = {f"weights.{atomic_numbers[e]:03d}.data": _weights_text(e, potential.networks[e], sorting[e]) for e in elements}
    texts["scaling.data"] = _scaling_text(potential, elements, sorting)
    texts["input.nn"] = _settings_text(potential, elements, sorting, *(kinds or {("cosine", 0.0)}))
    _write_folder(folder, texts)


def _in_order(f, elements):
    """The function with its neighbour elements in the order of `elements`; which comes first makes no difference to its value."""
    return replace(f, elements=tuple(sorted(f.elements, key=elements.index)))


def _write_folder(folder, texts):
    """input.nn goes first and comes last, so that a folder with it is whole. Only a folder that fastmd wrote is written over."""
    head = folder / "input.nn"
    try:
        folder.mkdir(exist_ok=True)
        if not head.exists() and (foreign := [n for n in texts if (folder / n).exists()]):
            raise ValueError(f"{folder}: has a {foreign[0]} that may be another potential's; choose another folder, or remove it")
        if head.exists():
            with open(head, "rb") as f:
                if not f.read(len(_OURS)) == _OURS.encode():
                    raise ValueError(f"{head}: is there, and fastmd did not write it; choose another folder")
            head.unlink()
            for old in folder.glob("weights.[0-9][0-9][0-9].data"):
                old.unlink()
    except OSError as e:
        raise ValueError(f"{folder}: cannot be written to ({e.strerror}); choose another place") from None
    for name, text in texts.items():
        _check.write_text(folder / name, text)


def _settings_text(potential, elements, sorting, cutoff):
    length, angstrom, energy, ev = potential.units
    kind, low, high = potential.scaling
    reach = np.ceil(1e4 * potential.cutoff + 1e-3) / 1e4  # LAMMPS stops where it is below the cutoff by rounding
    lines = [f"{_OURS}: a potential for n2p2 and RuNNer, lengths in {length} ({_exact(angstrom)} angstrom), energies in {energy} ({_exact(ev)} eV)",
             f"# In LAMMPS, units metal: pair_style hdnnp {_exact(reach)} dir FOLDER maxew 1000000 cflength {_exact(1 / angstrom)} cfenergy {_exact(1 / ev)}",
             f"#                         pair_coeff * * {' '.join(elements)}",
             f"number_of_elements {len(elements)}", f"elements {' '.join(elements)}",
             *(f"atom_energy {e} {_exact(potential.offsets[e])}" for e in elements),
             f"cutoff_type {CUTOFF_TYPES.index(cutoff[0])} {_exact(cutoff[1])}"]
    lines += {"none": [], "minmax": ["scale_symmetry_functions"], "center": ["center_symmetry_functions"], "sigma": ["scale_symmetry_functions_sigma"],
              "center-minmax": ["scale_symmetry_functions", "center_symmetry_functions"]}[kind]
    lines += [f"scale_min_short {_exact(low)}", f"scale_max_short {_exact(high)}"]
    lines += _topology(potential.networks, elements)
    for e in elements:
        lines += [_function_line(e, _in_order(potential.functions[e][k], elements)) for k in sorting[e]]
    return "\n".join([*lines, ""])


def _topology(networks, elements):
    """The lines that say nodes and activations: those of the first element for all, and what differs for the others."""
    letter = {name: c for c, name in ACTIVATIONS.items()}
    nodes = {e: [len(b) for _, b, _ in networks[e].layers[:-1]] for e in elements}
    letters = {e: " ".join(letter[a] for _, _, a in networks[e].layers) for e in elements}
    first = elements[0]
    lines = [f"global_hidden_layers_short {len(nodes[first])}"]
    lines += [f"global_nodes_short {' '.join(map(str, nodes[first]))}"] if nodes[first] else []
    lines += [f"global_activation_short {letters[first]}"]
    for e in elements[1:]:
        if len(nodes[e]) != len(nodes[first]):
            lines.append(f"element_hidden_layers_short {e} {len(nodes[e])}")
        if nodes[e] and nodes[e] != nodes[first]:
            lines.append(f"element_nodes_short {e} {' '.join(map(str, nodes[e]))}")
        if letters[e] != letters[first]:
            lines.append(f"element_activation_short {e} {letters[e]}")
        if len(nodes[e]) == len(nodes[first]) and letters[e][-1] != letters[first][-1]:
            raise ValueError(f"to_runner: the outputs of {first} and {e} have different activations; n2p2 takes the one of global_activation_short for all")
        if len(nodes[e]) != len(nodes[first]) or nodes[e][-1:] != nodes[first][-1:]:
            warnings.warn(f"the last hidden layers of {first} and {e} differ; n2p2 as of 2024 reads it from global_nodes_short only, so it cannot run "
                          "this folder (fastmd can)", stacklevel=5)
    return lines


def _function_line(e, f):
    t = _TYPE_OF[f.kind]
    numbers = [_exact(getattr(f, name)) for name in _TYPES[t][2]]
    if t in (3, 9) and f.rs:
        numbers.append(_exact(f.rs))
    if t >= _COMPACT:
        numbers.append(f.cutoff_type)
    return " ".join(["symfunction_short", e, str(t), *f.elements, *numbers])


def _scaling_text(potential, elements, sorting):
    lines = ["# element  function  min  max  mean  sigma"]
    for number, e in enumerate(elements, 1):
        for k, q in enumerate(sorting[e], 1):
            lines.append(f"{number:10d} {k:10d} " + " ".join(f"{_exact(x):>24s}" for x in potential.statistics[e][q]))
    return "\n".join([*lines, ""])


def _weights_text(e, network, sorting):
    values, widths = [], [network.n_inputs]
    for k, (w, b, _) in enumerate(network.layers):
        values += (w if k else w[:, sorting]).T.ravel().tolist() + b.tolist()
        widths.append(len(b))
    lines = [f"# {e}: value, a (weight) or b (bias), number, layer, node, next layer, next node"]
    lines += [f"{_exact(x):>24s} {place[0]} " + " ".join(f"{n:>9s}" for n in place[1:]) for x, place in zip(values, _places(widths))]
    return "\n".join([*lines, ""])


# ---- data sets

def is_data(path):
    """Does the file begin as an input.data does?"""
    try:
        with open(path, "rb") as f:
            return f.read(4096).split()[:1] == [b"begin"]
    except OSError:
        return False


def read_data(path, length="bohr", energy="hartree"):
    """The structures of an input.data, one after the other: a generator of ase.Atoms in ASE's units.

    Energy and forces are the results of a SinglePointCalculator, charges of atoms are initial charges, the total charge and the comment stand
    in info under "charge" and "comment". The column of atomic energies, which neither program uses, is passed over.
    length, energy : the file's units, a name (bohr, angstrom, nm; hartree, eV, rydberg, kcal/mol, kJ/mol) or the size in angstrom or eV
    Raises ValueError with file and line for whatever is not right in the file.
    """
    path = Path(_check.path("path", path))
    return _structures(path, unit("length", length, LENGTHS)[1], unit("energy", energy, ENERGIES)[1])


def _structures(path, angstrom, ev):
    try:
        if not path.is_file():
            raise ValueError(f"{path}: there is no such file")
        with open(path, "rb") as f:
            block = None
            for number, row in enumerate(iter(lambda: f.readline(1 << 20), b""), 1):
                line = _Line(path, number, _WORD.findall(row.decode("latin-1").rstrip("\r\n")))
                if not row.endswith(b"\n"):
                    line.fail("ends without a newline, so the file is truncated; if it is whole, add the newline")
                if not line.words:
                    continue
                key = line.words[0]
                if (key == "begin") != (block is None):
                    line.fail(f"expected begin, got {_shown(key)}" if block is None else f"begin, but the structure from line {block.start.number} has no end yet")
                if key == "begin":
                    block = _Block(line)
                elif key == "end":
                    yield block.atoms(line, angstrom, ev)
                    block = None
                else:
                    block.add(line, row)
            if block is not None:
                block.start.fail("this structure has no end: the file is truncated")
    except OSError as e:
        raise ValueError(f"{path}: cannot be read ({e.strerror})") from None


class _Block:
    """What stands between begin and end."""

    def __init__(self, start):
        self.start, self.lattice, self.symbols, self.rows, self.comments, self.once = start, [], [], [], [], {}

    def add(self, line, row):
        key = line.words[0]
        if key == "atom":
            line.expect(10)
            if atomic_numbers.get(line.words[4], 0) < 1:
                line.fail(f"{_shown(line.words[4])} is no element symbol")
            self.symbols.append(line.words[4])
            self.rows.append([line.real(k, "atom") for k in (1, 2, 3, 5, 6, 7, 8, 9)])
        elif key == "lattice":
            line.expect(4)
            if len(self.lattice) == 3:
                line.fail("a fourth lattice vector")
            self.lattice.append([line.real(k, "lattice") for k in (1, 2, 3)])
        elif key in ("energy", "charge"):
            line.expect(2)
            if key in self.once:
                line.fail(f"{key} stands twice in this structure")
            self.once[key] = line.real(1, key)
        elif key == "comment" and len(line.words) > 1:
            self.comments.append(_check.printable(" ".join(row.decode("utf-8", "replace").split()[1:])))
        elif key != "comment":
            line.fail(f"expected comment, lattice, atom, energy, charge or end, got {_shown(key)}")

    def atoms(self, end, angstrom, ev):
        if len(self.lattice) not in (0, 3):
            end.fail(f"the structure has {len(self.lattice)} lattice vectors, expected none or three")
        if not self.rows:
            end.fail("the structure has no atoms")
        table = np.array(self.rows)
        with np.errstate(over="ignore"):
            found = {"positions": table[:, :3] * angstrom, "cell": np.array(self.lattice or np.zeros((3, 3))) * angstrom, "forces": table[:, 5:] * (ev / angstrom)}
            if "energy" in self.once:
                found["energy"] = self.once["energy"] * ev
        for what, x in found.items():
            if not np.isfinite(x).all():
                end.fail(f"{what} of this structure are not finite in eV and angstrom")
        if self.lattice and not np.linalg.matrix_rank(found["cell"]) == 3:
            end.fail("the lattice vectors of this structure span no volume")
        atoms = Atoms(self.symbols, found["positions"], cell=found["cell"], pbc=bool(self.lattice))
        if table[:, 3].any():
            atoms.set_initial_charges(table[:, 3])
        if "charge" in self.once:
            atoms.info["charge"] = self.once["charge"]
        if self.comments:
            atoms.info["comment"] = " ".join(self.comments)
        atoms.calc = SinglePointCalculator(atoms, **{k: found[k] for k in ("energy", "forces") if k in found})
        return atoms


def write_data(path, structures, length="bohr", energy="hartree"):
    """Writes an input.data from any iterable of ase.Atoms, one after the other, in one piece in the end.

    The labels are those that training takes (dataset.labels); the format needs energy and forces, and knows no stress.
    length, energy : as in read_data
    Raises ValueError where a structure has no energy or forces, or is periodic in some directions only.
    """
    _, angstrom = unit("length", length, LENGTHS)
    _, ev = unit("energy", energy, ENERGIES)
    with _check.writing(_check.path("path", path), text=True) as f:
        for k, atoms in enumerate(structures):
            f.write(_data_text(atoms, f"structure {k}", angstrom, ev))


def _data_text(atoms, name, angstrom, ev):
    from .train.dataset import has_lattice, labels

    _check.atoms(atoms)
    found = labels(atoms)
    if found["energy"][0] is None or found["forces"][0] is None:
        raise ValueError(f"{name}: has no {'energy' if found['energy'][0] is None else 'forces'}, and input.data has no way to say so")
    e, forces = _check.floats(f"{name}, energy", found["energy"][1]), _check.floats(f"{name}, forces", found["forces"][1])
    if e.size != 1 or forces.shape != (len(atoms), 3) or not len(atoms):
        raise ValueError(f"{name}: expected an energy and forces ({len(atoms)}, 3) of at least one atom, got {e.shape} and {forces.shape}")
    if len(set(atoms.pbc)) > 1:
        raise ValueError(f"{name}: is periodic in some directions only, input.data knows all or none")
    if atoms.pbc.all() and not has_lattice(atoms):
        raise ValueError(f"{name}: is periodic, but its cell spans no volume")
    if not all(atoms.numbers > 0):
        raise ValueError(f"{name}: has an atom without an element (X)")
    with np.errstate(over="ignore"):
        if not all(np.isfinite(x).all() for x in (atoms.positions / angstrom, atoms.cell.array / angstrom, forces * (angstrom / ev), e / ev)):
            raise ValueError(f"{name}: its numbers are not finite in these units")
    charges = atoms.get_initial_charges()
    lines = ["begin"]
    if comment := " ".join(_check.printable(atoms.info.get("comment", "")).split()):
        lines.append(f"comment {comment}")
    if atoms.pbc.all():
        lines += ["lattice " + " ".join(map(_exact, v)) for v in atoms.cell.array / angstrom]
    for symbol, x, q, f in zip(atoms.symbols, (atoms.positions / angstrom).tolist(), charges, (forces * (angstrom / ev)).tolist()):
        lines.append(" ".join(["atom", *map(_exact, x), symbol, _exact(q), "0.0", *map(_exact, f)]))
    lines += [f"energy {_exact(e.item() / ev)}", f"charge {_exact(_check.number(f'{name}, charge', atoms.info.get('charge', charges.sum())))}", "end", ""]
    return "\n".join(lines)
