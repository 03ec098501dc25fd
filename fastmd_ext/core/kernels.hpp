// kernels.hpp: the table of functions that each instruction set's library offers, and the chunk of work they are called on.
#pragma once
#include "fastmd.h"
#include "plan.hpp"

namespace fastmd {

enum class Want { energy, value, vjp, jvp, rows };

// One call covers atoms [i0, i1). Forces go to a buffer of the chunk's own that covers atoms [low, ..).
struct Work {
  const Plan *plan;
  const fastmd_system *system;
  int64_t i0, i1;
  const int64_t *row;       // value, vjp, jvp: where an atom's functions stand; rows: where its edges' rows stand
  double *G;                // value and jvp: out; rows: out
  const double *g;          // vjp: in
  const double *v, *h;      // jvp
  const int32_t *strain_of;
  double *energies, *virials, *edges;  // or NULL
  double *forces;           // of the chunk, or NULL
  float *forces32;          // the same in precision float32; one of the two is NULL
  int64_t low;
  double *member_energies;  // n x members, or NULL
  int64_t member_stride;    // 0, or the forces of members 0 to n_members - 2 are wanted too: those of m stand (m + 1) member_stride numbers
                            // after the mean's. The last member's are what is left of these
  int32_t *outside;         // or NULL
  bool want_virial;
  double energy, virial[9]; // out: sums over the chunk
  int64_t clash_atom, clash_edge;  // out: two atoms on top of each other, or -1
};

// The neighbour search of one structure as near.hpp sees it; pairs.hpp makes it.
struct Site {        // an atom, in the order of the bins
  double x[3];       // as given
  int32_t wrap[3];   // by how many lattice vectors it was moved to come into the cell
  int32_t atom;
};
struct Bins {
  double basis[9], shift_of[9];  // lattice vectors, open directions made up; the same with zeros there
  int64_t count[3];  // bins along each lattice vector
  int32_t reach[3];  // how many bins a cutoff goes
  int32_t periodic[3];
  int32_t most[3];   // images reach from -most to most; one stands as the bit field image + most, at bit `at`, `bits` long
  int32_t at[3], bits[3];
  double cutoff;
  int64_t *start;    // bins + 1: the sites of a bin
  double *x, *y, *z; // of the sites, moved into the cell; SITES_PAST numbers beyond the last
  Site *site;
};
constexpr int64_t SITES_PAST = 16;

struct Row {         // the neighbours of an atom among what was found
  int64_t from;
  int32_t n, site, chunk;
};
struct Found {       // as the search leaves it, rows in the order of the bins
  int32_t *site;
  uint32_t *image;
};
struct Search {      // bins [bin, end)
  const Bins *bins;
  int64_t bin, end;
  int32_t chunk;
  Found found;
  int64_t used, room;       // of found
  void *scratch;            // candidates: 5 numbers of 4 bytes each
  int64_t candidates_room;
  int64_t want_candidates;  // out: > 0 where these do not fit; found must grow where they do. `bin` says where to go on
  Row *rows;                // by atom
};
struct Fill {        // atoms [i0, i1) of one structure
  const Bins *bins;
  const Row *rows;          // by atom of the structure
  const Found *found;       // by chunk
  const int64_t *first;     // by atom
  int64_t i0, i1;
  int32_t add;              // to the numbers of neighbours
  int32_t *j, *shift;       // NULL: not wanted, but j
  double *d, *r;
};

struct Kernels {
  const char *name;
  struct Arithmetic {
    size_t (*workspace)(const Plan &, Want, int max_row);
    void (*run)(Want, Work &, void *workspace, int max_row);
  } float64, float32;  // float32: Want::energy only
  // the network of one element alone, for atoms [i0, i1): G (n x functions) -> E (n), dE/dG (n x functions)
  void (*network)(const Plan &, int element, int64_t i0, int64_t i1, const double *G, double *E, double *dG, void *workspace);
  bool (*search)(Search &);  // false: more room, please
  void (*fill)(const Fill &);
};

}  // namespace fastmd
