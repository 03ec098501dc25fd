// pair_fastmd.hpp: LAMMPS's `pair_style fastmd`: atoms, ghosts and neighbour list go to fastmd_compute, energies, forces and virials come back.
// No physics is here. LAMMPS's units are converted to angstrom and eV and back with ASE's constants (CODATA 2014), as everywhere in fastmd.
//
// Virials: an edge from i to its neighbour j, d = x_j - x_i, p = dE_i/dd, acts on j with the force -p and has the virial -d p^T.
//   per atom   sum of the edges of its own energy, -dE_i/dstrain
//   centroid   the edge belongs to j: W_j = sum_i -d_ij p_ij^T, so that sum_j W_j v_j is the virial part of the heat flux
//              (Z. Fan et al., Phys. Rev. B 92, 094301 (2015); D. Surblys et al., Phys. Rev. E 99, 051301 (2019))
#pragma once
#include <fastmd.h>
#include <memory>
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "potential_file.hpp"
#include "watch.hpp"

namespace {

using namespace LAMMPS_NS;

class PairFastmd : public Pair {
 public:
  explicit PairFastmd(LAMMPS *lmp) : Pair(lmp), watch_(new Watch(lmp)) {
    one_coeff = manybody_flag = 1;
    single_enable = restartinfo = 0;      // a restart names no file: pair_coeff is to be given again
    no_virial_fdotr_compute = 1;          // comes from the edges
    centroidstressflag = CENTROID_AVAIL;
    comm_reverse = 3;                     // the spread of forces, a member at a time
    nextra = 5;
    pvector = extra_;
  }
  ~PairFastmd() override {
    if (!allocated || copymode) return;
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }

  void settings(int narg, char **arg) override {
    watch_.reset(new Watch(lmp));
    precision_ = FASTMD_FLOAT64, threads_ = 1, spread_wanted_ = of_forces_wanted_ = false;
    for (int k = 0, taken; k < narg; k += taken) {
      const std::string word = arg[k], value = k + 1 < narg ? arg[k + 1] : "nothing";
      taken = watch_->settings(narg - k, arg + k);
      if (taken) continue;
      taken = 2;
      if (word == "precision") {
        precision_ = value == "float64" ? FASTMD_FLOAT64 : value == "mixed" ? FASTMD_MIXED : value == "float32" ? FASTMD_FLOAT32 : -1;
        if (precision_ < 0) error->all(FLERR, "pair_style fastmd: precision wants float64, mixed or float32, got {}", value);
      } else if (word == "threads") {
        threads_ = utils::is_integer(value) && value.size() < 10 ? std::atoi(value.c_str()) : 0;
        if (threads_ < 1) error->all(FLERR, "pair_style fastmd: threads wants a whole number >= 1, got {}", value);
      } else if (word == "spread") {
        if (value != "energies" && value != "forces") error->all(FLERR, "pair_style fastmd: spread wants energies or forces, got {}", value);
        spread_wanted_ = true, watch_->of_forces = of_forces_wanted_ = value == "forces";
      } else {
        error->all(FLERR, "pair_style fastmd: unknown keyword {}; there are extrapolation, write, spread, maxspread, precision and threads. The cutoff is in the potential file", word);
      }
    }
  }

  // * * FILE elements..., or * * dir FOLDER [length U] [energy U] elements...; an element or NULL for each atom type
  void coeff(int narg, char **arg) override {
    const char *wanted = "pair_coeff of fastmd wants * * FILE, or * * dir FOLDER [length UNIT] [energy UNIT], and an element or NULL for each atom type";
    if (narg < 4 || std::string(arg[0]) != "*" || std::string(arg[1]) != "*") error->all(FLERR, wanted);
    allocate();
    int k = 2;
    std::string name = arg[k++];
    std::vector<std::string> options;
    const bool folder = name == "dir";
    if (folder) {
      name = arg[k++];
      for (; k + 1 < narg && (!std::strcmp(arg[k], "length") || !std::strcmp(arg[k], "energy")); k += 2) options.insert(options.end(), {std::string("--") + arg[k], arg[k + 1]});
    }
    if (narg - k != atom->ntypes) error->all(FLERR, "{}: {} are named, there are {} types", wanted, narg - k, atom->ntypes);
    const Text got = broadcast(comm->me ? Text{true, ""} : folder ? convert(name, options) : read_potential(name), world);
    if (!got.good) error->all(FLERR, "pair_coeff of fastmd: {}", got.text);
    potential_.reset(fastmd_parse(got.text.data(), got.text.size(), name.c_str()));
    if (!potential_) error->all(FLERR, "pair_coeff of fastmd: {}", fastmd_last_error());
    if (!fastmd_has_network(potential_.get())) error->all(FLERR, "pair_coeff of fastmd: {} holds symmetry functions only, no network", name);

    map_element2type(narg - k, arg + k);
    symbol_.assign(atom->ntypes + 1, "X");
    species_of_.assign(atom->ntypes + 1, -1);
    for (int t = 1; t <= atom->ntypes; t++) {
      if (map[t] < 0) continue;
      symbol_[t] = elements[map[t]];
      std::string known;
      for (int e = 0; e < fastmd_n_elements(potential_.get()); e++) {
        if (symbol_[t] == fastmd_element(potential_.get(), e)) species_of_[t] = e;
        known += std::string(e ? ", " : "") + fastmd_element(potential_.get(), e);
      }
      if (species_of_[t] < 0) error->all(FLERR, "pair_coeff of fastmd: {} is not among the elements of {}: {}", symbol_[t], name, known);
    }
    members_ = fastmd_n_members(potential_.get());
    has_ranges_ = false;
    for (int a = 0; a < fastmd_n_elements(potential_.get()); a++)
      for (int b = 0; b < fastmd_n_elements(potential_.get()); b++) has_ranges_ |= fastmd_statistics(potential_.get(), a) || fastmd_shortest(potential_.get(), a, b) > 0;
    name_ = name;
  }

  void init_style() override {
    const std::string units = update->unit_style;
    if (units == "metal") angstrom_ = ev_ = 1;
    else if (units == "real") angstrom_ = 1, ev_ = 0.04336410390059322;                     // kcal/mol
    else if (units == "electron") angstrom_ = 0.5291772105638411, ev_ = 27.211386024367243; // bohr, hartree
    else error->all(FLERR, "pair style fastmd works in units metal, real and electron, got {}: its potentials are made for real matter in angstrom and eV, which these units do not have or only in other powers of ten", units);
    // here and not in coeff: a second `pair_style fastmd` with other words keeps the potential
    if (watch_->policy == Watch::STOP && !has_ranges_) error->all(FLERR, "pair_style fastmd: extrapolation stop: {} has no ranges of its training data (no `stats`)", name_);
    if ((watch_->max_spread > 0 || spread_wanted_) && members_ < 2) error->all(FLERR, "pair_style fastmd: spread and maxspread: {} is a single potential, only a committee has a spread", name_);
    if (watch_->writes() && watch_->max_spread == 0 && (watch_->policy == Watch::IGNORE || !has_ranges_))
      error->all(FLERR, "pair_style fastmd: write: nothing would ever be written: {}", has_ranges_ ? "extrapolation ignore looks at nothing" : name_ + " has no ranges of its training data (no `stats`)");
    if (!force->newton_pair) error->all(FLERR, "pair style fastmd needs `newton on` (or `newton on off`): forces act on ghost atoms, too, and have to be brought home");
    if (atom->molecular && (atom->nbonds || atom->molecular == 2))
      for (int k = 1; k < 4; k++)
        if (force->special_lj[k] == 0 && force->special_coul[k] == 0)
          error->all(FLERR, "pair style fastmd sees every neighbour, but special_bonds takes bonded ones off the list; say `special_bonds lj/coul 1 1 1`");
    if (neighbor->includegroup) error->all(FLERR, "pair style fastmd does not work with neigh_modify include: atoms outside the group would have no energy");
    if (comm->me == 0 && (neighbor->nex_type || neighbor->nex_group || neighbor->nex_mol))
      error->warning(FLERR, "neigh_modify exclude: excluded pairs are absent from the surroundings that pair style fastmd sees, which changes the energies of both atoms");
    neighbor->add_request(this, NeighConst::REQ_FULL);
    copied_ = -1;
  }
  double init_one(int i, int j) override {
    if (setflag[i][j] == 0) error->all(FLERR, "pair style fastmd: not all pair coefficients are set");
    return fastmd_cutoff(potential_.get()) / angstrom_;
  }

  void compute(int eflag, int vflag) override {
    ev_init(eflag, vflag);
    const int n = atom->nlocal, n_all = n + atom->nghost;
    if (neighbor->ago == 0 || neighbor->ncalls != copied_ || int(first_.size()) != n + 1) copy_list(n);
    species_.resize(n_all);
    for (int i = 0; i < n_all; i++) species_[i] = species_of_[atom->type[i]];
    const double *x = n_all ? atom->x[0] : nullptr;
    if (angstrom_ != 1) {
      scaled_.resize(3 * size_t(n_all));
      for (size_t q = 0; q < scaled_.size(); q++) scaled_[q] = angstrom_ * x[q];
      x = scaled_.data();
    }
    const bool looks = has_ranges_ && watch_->policy != Watch::IGNORE;
    auto wanted = [](auto &buffer, bool want, size_t size) {
      if (want) buffer.reserve(1), buffer.resize(size);  // NULL means not wanted, also on a rank without atoms, which must go along with the others
      return want ? buffer.data() : nullptr;
    };
    double energy = 0, virial_sum[9];
    fastmd_system system{};
    system.size = sizeof system, system.n = n, system.n_all = n_all, system.threads = threads_, system.precision = precision_;
    system.species = species_.data(), system.first = first_.data(), system.j = j_.data(), system.x = x;
    fastmd_result result{};
    result.size = sizeof result, result.energy = &energy, result.virial = vflag_global ? virial_sum : nullptr;
    result.forces = wanted(forces_, true, 3 * size_t(n_all));
    result.energies = wanted(energies_, eflag_atom || members_ > 1, n);
    result.virials = wanted(virials_, vflag_atom, 9 * size_t(n));
    result.edges = wanted(edges_, cvflag_atom, 3 * j_.size());
    result.outside = wanted(outside_, looks, n);
    result.member_energies = wanted(of_members_, members_ > 1, size_t(n) * members_);
    result.member_forces = wanted(of_forces_, of_forces_wanted_, forces_.size() * members_);
    if (const int code = fastmd_compute(potential_.get(), &system, &result)) fail(code);

    const double to_force = angstrom_ / ev_, to_energy = 1 / ev_;
    double *f = n_all ? atom->f[0] : nullptr;
    for (size_t q = 0; q < forces_.size(); q++) f[q] += to_force * forces_[q];
    if (eflag_global) eng_vdwl += to_energy * energy;
    for (int i = 0; eflag_atom && i < n; i++) eatom[i] += to_energy * energies_[i];
    constexpr int FROM[9] = {0, 4, 8, 1, 2, 5, 3, 6, 7};  // LAMMPS's order: xx yy zz xy xz yz, and of centroids yx zx zy
    for (int a = 0; vflag_global && a < 6; a++) virial[a] += to_energy * virial_sum[FROM[a]];
    for (int i = 0; vflag_atom && i < n; i++)
      for (int a = 0; a < 6; a++) vatom[i][a] += to_energy * virials_[9 * size_t(i) + FROM[a]];
    for (int i = 0; cvflag_atom && i < n; i++)
      for (int64_t k = first_[i]; k < first_[i + 1]; k++)
        for (int a = 0; a < 9; a++) cvatom[j_[k]][a] -= to_energy * (x[3 * size_t(j_[k]) + FROM[a] / 3] - x[3 * size_t(i) + FROM[a] / 3]) * edges_[3 * k + FROM[a] % 3];
    if (members_ > 1) of_forces_wanted_ ? spread_of_forces(n) : spread_of_energies(n);
    if (looks || members_ > 1) watch_->look(result.outside, members_ > 1 ? spread_.data() : nullptr, symbol_, angstrom_);
    for (int q = 0; q < nextra; q++) extra_[q] = comm->me ? 0 : watch_->now[q];  // `compute pair` adds over the ranks
  }
  void finish() override { watch_->finish(); }

  // Numbers over all ranks: see Watch::now. spread_flag is for fix pair, which sets it where it wants the spread; it is always there.
  void *extract(const char *name, int &dim) override {
    static const char *const names[] = {"outside", "outside_atoms", "outside_total", "outside_evaluations", "spread_max"};
    dim = 0;
    for (int k = 0; k < nextra; k++)
      if (!std::strcmp(name, names[k])) return watch_->now + k;
    return std::strcmp(name, "spread_flag") ? nullptr : &spread_flag_;
  }
  void *extract_peratom(const char *name, int &columns) override {
    columns = 0;
    return std::strcmp(name, "spread") || members_ < 2 ? nullptr : spread_.data();
  }
  int pack_reverse_comm(int n, int first, double *to) override {
    std::copy_n(apart_ + 3 * size_t(first), 3 * size_t(n), to);
    return 3 * n;
  }
  void unpack_reverse_comm(int n, int *atoms, double *from) override {
    for (int k = 0; k < 3 * n; k++) apart_[3 * size_t(atoms[k / 3]) + k % 3] += from[k];
  }
  double memory_usage() override {
    auto bytes = [](const auto &...v) { return (0.0 + ... + double(v.capacity() * sizeof v[0])); };
    return Pair::memory_usage() + bytes(first_, j_, species_, outside_, forces_, scaled_, energies_, virials_, edges_, of_members_, of_forces_, spread_);
  }

 private:
  struct Free {
    void operator()(fastmd_potential *p) const { fastmd_free(p); }
  };
  std::unique_ptr<fastmd_potential, Free> potential_;
  std::unique_ptr<Watch> watch_;
  std::string name_;                 // of its file
  std::vector<std::string> symbol_;  // of each type
  std::vector<int32_t> species_of_;  // of each type, -1: not ours
  int precision_ = FASTMD_FLOAT64, threads_ = 1, members_ = 1, spread_flag_ = 0;
  bool has_ranges_ = false, spread_wanted_ = false, of_forces_wanted_ = false;
  double angstrom_ = 1, ev_ = 1, extra_[5] = {};  // LAMMPS's units of length and energy
  bigint copied_ = -1;               // number of the list that first_ and j_ are a copy of
  std::vector<int64_t> first_;
  std::vector<int32_t> j_, species_, outside_;
  std::vector<double> forces_, scaled_, energies_, virials_, edges_, of_members_, of_forces_, spread_;
  double *apart_ = nullptr;          // what is being sent home: the forces of a member beyond the mean

  void allocate() {
    const int n = atom->ntypes + 1;
    if (!allocated) memory->create(setflag, n, n, "pair:setflag"), memory->create(cutsq, n, n, "pair:cutsq"), map = new int[n];
    allocated = 1;
    for (int i = 0; i < n; i++) std::fill_n(setflag[i], n, 0);
  }

  // LAMMPS's list in compressed rows, without the marks of bonds; atoms that are not on it have none.
  void copy_list(int n) {
    first_.assign(n + 1, 0);
    for (int k = 0; k < list->inum; k++) first_[list->ilist[k] + 1] = list->numneigh[list->ilist[k]];
    for (int i = 0; i < n; i++) first_[i + 1] += first_[i];
    j_.resize(first_[n]);
    for (int k = 0; k < list->inum; k++) {
      const int i = list->ilist[k], *from = list->firstneigh[i];
      int32_t *to = j_.data() + first_[i];
      for (int q = 0; q < list->numneigh[i]; q++) to[q] = from[q] & NEIGHMASK;
    }
    copied_ = neighbor->ncalls;
  }

  // How far the members are apart: of each atom sqrt(mean over them of (E_m - E)^2), or of |F_m - F|^2
  void spread_of_energies(int n) {
    spread_.resize(atom->nmax);
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int m = 0; m < members_; m++) {
        const double apart = of_members_[size_t(i) * members_ + m] - energies_[i];
        sum += apart * apart;
      }
      spread_[i] = std::sqrt(sum / members_) / ev_;
    }
  }
  void spread_of_forces(int n) {
    spread_.assign(atom->nmax, 0);
    for (int m = 0; m < members_; m++) {
      apart_ = of_forces_.data() + m * forces_.size();
      for (size_t q = 0; q < forces_.size(); q++) apart_[q] -= forces_[q];
      comm->reverse_comm(this);  // what acts on ghosts, too
      for (size_t q = 0; q < 3 * size_t(n); q++) spread_[q / 3] += apart_[q] * apart_[q];
    }
    for (int i = 0; i < n; i++) spread_[i] = std::sqrt(spread_[i] / members_) * angstrom_ / ev_;
  }
  // Of libfastmd's message, which has the places of atoms in memory, one with their numbers
  [[noreturn]] void fail(int code) {
    const int n = atom->nlocal;
    for (int i = 0; code == FASTMD_ECOINCIDENT && atom->tag_enable && i < n; i++)
      for (int64_t k = first_[i]; k < first_[i + 1]; k++)
        if (std::equal(atom->x[i], atom->x[i] + 3, atom->x[j_[k]]))
          error->one(FLERR, "fastmd: step {}: atoms {} and {} are on top of each other", update->ntimestep, atom->tag[i], atom->tag[j_[k]]);
    error->one(FLERR, "fastmd: step {}: {}", update->ntimestep, fastmd_last_error());
  }
};

}  // namespace
