// watch.hpp: who is outside the range of the training data, or where the members of a committee are apart; what is done about it.
#pragma once
#include <unistd.h>
#include <algorithm>
#include <cinttypes>
#include <cstring>
#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "pair.h"
#include "update.h"

namespace {

using LAMMPS_NS::bigint;

class Watch : protected LAMMPS_NS::Pointers {
 public:
  enum Policy { IGNORE, WARN, STOP } policy = WARN;
  double max_spread = 0;  // of an atom's energy or of the force on it, in LAMMPS's unit; 0: any
  bool of_forces = false;
  // What `extract` and `compute pair` give, over all ranks: values and atoms outside now; values outside and evaluations with such so far; largest spread now
  double now[5] = {};

  explicit Watch(LAMMPS_NS::LAMMPS *lmp) : Pointers(lmp) {}
  bool writes() const { return !file_.empty(); }

  // Takes the words of pair_style from arg[0] on that are for it; returns how many.
  int settings(int narg, char **arg) {
    const std::string word = arg[0];
    auto need = [&](int n, const char *wanted) {
      if (narg <= n) error->all(FLERR, "pair_style fastmd: {} wants {}", word, wanted);
    };
    if (word == "extrapolation") {
      const char *wanted = "ignore, warn N (a line in N steps at most) or stop N (values in all that may be outside)";
      need(1, wanted);
      const std::string what = arg[1];
      if (what != "ignore" && what != "warn" && what != "stop") error->all(FLERR, "pair_style fastmd: extrapolation wants {}, got {}", wanted, what);
      policy = what == "ignore" ? IGNORE : what == "warn" ? WARN : STOP;
      if (policy == IGNORE) return 2;
      need(2, wanted);
      limit_ = LAMMPS_NS::utils::bnumeric(FLERR, arg[2], false, lmp);
      if (limit_ < (policy == WARN)) error->all(FLERR, "pair_style fastmd: extrapolation {} wants a whole number >= {}, got {}", what, policy == WARN ? 1 : 0, arg[2]);
      return 3;
    }
    if (word == "write") {
      need(2, "a file and the least number of steps between two configurations");
      file_ = arg[1];
      every_ = LAMMPS_NS::utils::bnumeric(FLERR, arg[2], false, lmp);
      if (every_ < 1) error->all(FLERR, "pair_style fastmd: write wants a whole number of steps >= 1, got {}", arg[2]);
      const size_t slash = file_.rfind('/');
      if (comm->me == 0 && access(slash == std::string::npos ? "." : file_.substr(0, slash + 1).c_str(), W_OK)) unwritable();  // before the run, not days later
      return 3;
    }
    if (word == "maxspread") {
      need(1, "the largest spread over the members of a committee");
      max_spread = LAMMPS_NS::utils::numeric(FLERR, arg[1], false, lmp);
      if (!(max_spread > 0)) error->all(FLERR, "pair_style fastmd: maxspread must be > 0, in the unit of energy or force of this run, got {}", arg[1]);
      return 2;
    }
    return 0;
  }

  // outside: per atom, or NULL; spread: per atom, or NULL. The same on all ranks, which all come here.
  void look(const int32_t *outside, const double *spread, const std::vector<std::string> &symbol, double angstrom) {
    const int n = atom->nlocal;
    double sum[2] = {}, largest = 0;
    for (int i = 0; outside && i < n; i++) sum[0] += outside[i], sum[1] += outside[i] != 0;
    for (int i = 0; spread && i < n; i++) largest = std::max(largest, spread[i]);
    if (outside) MPI_Allreduce(sum, now, 2, MPI_DOUBLE, MPI_SUM, world);
    if (spread) MPI_Allreduce(&largest, now + 4, 1, MPI_DOUBLE, MPI_MAX, world);
    now[2] += now[0], now[3] += now[0] > 0;
    const bool apart = max_spread > 0 && now[4] > max_spread, stop = apart || (policy == STOP && now[2] > double(limit_));
    const bigint step = update->ntimestep;
    if (!file_.empty() && (now[0] > 0 || apart) && (stop || written_ < 0 || step - written_ >= every_ || step < written_)) write(outside, spread, symbol, angstrom);
    const std::string where = file_.empty() ? "" : "; the configurations are in " + file_;
    if (apart) error->all(FLERR, "fastmd: step {}: the members of the committee are {:.6g} apart in the {} an atom, the limit is {:.6g}{}", step, now[4], of_forces ? "force on" : "energy of", max_spread, where);
    if (stop) error->all(FLERR, "fastmd: step {}: {:.0f} values of {:.0f} atoms are outside the range of the training data, {:.0f} so far, the limit is {}{}; train on such structures", step, now[0], now[1], now[2], limit_, where);
    if (policy == WARN && now[0] > 0 && (warned_ < 0 || step - warned_ >= limit_ || step < warned_)) {
      warned_ = step;
      summary(fmt::format("fastmd: step {}: {:.0f} values of {:.0f} atoms are outside the range of the training data; energy and forces are a guess there. ", step, now[0], now[1]));
    }
  }

  // What has not been said yet, at the end of a run
  void finish() {
    if (policy == WARN && now[2] > told_) summary("fastmd: ");
  }

 private:
  bigint limit_ = 1000, every_ = 1, warned_ = -1, written_ = -1;
  double told_ = 0;
  std::string file_;

  void unwritable() { error->one(FLERR, "pair_style fastmd: write: {} cannot be written: {}", file_, std::strerror(errno)); }

  void summary(const std::string &begin) {
    told_ = now[2];
    if (comm->me == 0) error->warning(FLERR, "{}So far {:.0f} values were outside, in {:.0f} evaluations", begin, now[2], now[3]);
  }

  // The configuration at the end of the file, as extended XYZ in angstrom, sorted by the atoms' numbers. No energies or forces: these are what is in doubt.
  void write(const int32_t *outside, const double *spread, const std::vector<std::string> &symbol, double angstrom) {
    constexpr int WIDTH = 7;
    std::vector<double> mine(size_t(WIDTH) * atom->nlocal), all;
    for (int i = 0; i < atom->nlocal; i++) {
      const double *x = atom->x[i];
      const double row[WIDTH] = {double(atom->tag_enable ? atom->tag[i] : i), double(atom->type[i]), double(outside ? outside[i] : 0), spread ? spread[i] : 0, x[0], x[1], x[2]};
      std::copy_n(row, WIDTH, mine.data() + size_t(WIDTH) * i);
    }
    int size = int(mine.size());
    std::vector<int> sizes(comm->nprocs), places(comm->nprocs);
    MPI_Gather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, 0, world);
    for (int r = 1; r < comm->nprocs; r++) places[r] = places[r - 1] + sizes[r - 1];
    if (comm->me == 0) all.resize(size_t(places.back()) + sizes.back());
    MPI_Gatherv(mine.data(), size, MPI_DOUBLE, all.data(), sizes.data(), places.data(), MPI_DOUBLE, 0, world);
    const bool first = written_ < 0;
    written_ = update->ntimestep;
    if (comm->me) return;

    std::vector<const double *> rows;
    for (size_t k = 0; k < all.size(); k += WIDTH) rows.push_back(all.data() + k);
    std::sort(rows.begin(), rows.end(), [](const double *a, const double *b) { return a[0] < b[0]; });
    FILE *f = std::fopen(file_.c_str(), first ? "w" : "a");
    if (!f) unwritable();
    const auto &d = *domain;
    auto flag = [](int periodic) { return periodic ? 'T' : 'F'; };
    std::fprintf(f, "%zu\nLattice=\"%.17g 0 0 %.17g %.17g 0 %.17g %.17g %.17g\" Properties=species:S:1:pos:R:3:outside:I:1%s pbc=\"%c %c %c\" step=%" PRId64 "\n", rows.size(),
                 angstrom * d.xprd, angstrom * d.xy, angstrom * d.yprd, angstrom * d.xz, angstrom * d.yz, angstrom * d.zprd, spread ? ":spread:R:1" : "",
                 flag(d.xperiodic), flag(d.yperiodic), flag(d.zperiodic), int64_t(update->ntimestep));
    for (const double *r : rows) {
      std::fprintf(f, "%s", symbol[int(r[1])].c_str());
      for (int a = 0; a < 3; a++) std::fprintf(f, " %.17g", angstrom * (r[4 + a] - d.boxlo[a]));
      std::fprintf(f, " %d", int(r[2]));
      if (spread) std::fprintf(f, " %.9g", r[3]);
      std::fputc('\n', f);
    }
    const bool bad = std::ferror(f);
    if (std::fclose(f) || bad) error->one(FLERR, "pair_style fastmd: write: {} could not be written to its end: {}", file_, std::strerror(errno));
  }
};

}  // namespace
