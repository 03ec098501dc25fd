/* One energy-and-force call of libfastmd, for instructions.py to count: instructions POTENTIAL STRUCTURE
 * STRUCTURE: n as int64; species n int32, padded to 8 bytes; positions 3 n and cell 9 as double; periodic in all directions */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fastmd.h"

int main(int argc, char **argv) {
  const int pbc[3] = {1, 1, 1};
  int64_t n;
  FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
  if (!file || fread(&n, sizeof n, 1, file) != 1 || n < 1 || n > 100000) return 2;
  size_t m = (size_t)n;
  int32_t *species = malloc((m + 1) * sizeof *species);
  double *x = malloc((3 * m + 9) * sizeof *x), *energies = malloc(m * sizeof *energies), *forces = malloc(3 * m * sizeof *forces);
  if (fread(species, 4, m + m % 2, file) != m + m % 2 || fread(x, 8, 3 * m + 9, file) != 3 * m + 9) return 2;
  fastmd_potential *p = fastmd_load(argv[1]);
  if (!p) return 3;
  fastmd_pairs *pairs = fastmd_find_pairs(n, x, x + 3 * m, pbc, fastmd_cutoff(p));
  if (!pairs) return 4;
  double energy, virial[9];
  fastmd_system system = {.size = sizeof system, .n = n, .n_all = n, .species = species, .first = fastmd_pairs_first(pairs), .j = fastmd_pairs_j(pairs),
                          .shift = fastmd_pairs_shift(pairs), .x = x, .cell = x + 3 * m, .threads = 1};
  fastmd_result result = {.size = sizeof result, .energy = &energy, .energies = energies, .forces = forces, .virial = virial};
  if (fastmd_compute(p, &system, &result) || !isfinite(energy)) return 5;
  printf("%s %.17g\n", fastmd_isa(), energy);
  return 0;
}
