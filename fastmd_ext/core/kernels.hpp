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

struct Kernels {
  const char *name;
  struct Arithmetic {
    size_t (*workspace)(const Plan &, Want, int max_row);
    void (*run)(Want, Work &, void *workspace, int max_row);
  } float64, float32;  // float32: Want::energy only
  // the network of one element alone, for atoms [i0, i1): G (n x functions) -> E (n), dE/dG (n x functions)
  void (*network)(const Plan &, int element, int64_t i0, int64_t i1, const double *G, double *E, double *dG, void *workspace);
};

}  // namespace fastmd
