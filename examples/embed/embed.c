/* embed.c: molecular dynamics in plain C with a fastmd potential: 64 silicon atoms at constant energy, which is looked at in the end.
 *
 *   cc -std=c99 -O2 $(fastmd config --cflags) embed.c $(fastmd config --libs) -lm -o embed && ./embed silicon.nnp
 */
#include <fastmd.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 2, N = 8 * CELLS * CELLS * CELLS, STEPS = 200 };
static const double A = 5.431, MASS = 28.085, DT = 1.0;      /* angstrom, amu, fs */
static const double ACCELERATION = 0.0096485332;             /* eV/angstrom/amu in angstrom/fs^2 */
static const double DIAMOND[8][3] = {{0, 0, 0}, {0, 2, 2}, {2, 0, 2}, {2, 2, 0}, {1, 1, 1}, {1, 3, 3}, {3, 1, 3}, {3, 3, 1}};
static double x[N][3], v[N][3], f[N][3], energy, virial[9];
static int32_t species[N];

static int failed(const char *where) {
  fprintf(stderr, "%s: %s (code %d)\n", where, fastmd_last_error(), fastmd_last_code());
  return EXIT_FAILURE;
}

static void kick(double time) {
  for (int i = 0; i < N; i++)
    for (int a = 0; a < 3; a++) v[i][a] += time * ACCELERATION / MASS * f[i][a];
}

static double total(void) {
  double kinetic = 0;
  for (int i = 0; i < N; i++)
    for (int a = 0; a < 3; a++) kinetic += 0.5 * MASS / ACCELERATION * v[i][a] * v[i][a];
  return energy + kinetic;
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: embed POTENTIAL.nnp\n"), EXIT_FAILURE;
  if (fastmd_abi() != FASTMD_ABI) return fprintf(stderr, "the library is not that of the header: compile anew\n"), EXIT_FAILURE;
  fastmd_potential *potential = fastmd_load(argv[1]);
  if (!potential) return failed("fastmd_load");

  int silicon = 0; /* species are numbers: the places of the elements in the potential */
  while (silicon < fastmd_n_elements(potential) && strcmp(fastmd_element(potential, silicon), "Si")) silicon++;
  for (int i = 0; i < N; i++) {
    const int cell[3] = {i / 8 % CELLS, i / 8 / CELLS % CELLS, i / 8 / CELLS / CELLS};
    species[i] = silicon;
    for (int a = 0; a < 3; a++) x[i][a] = A * (cell[a] + DIAMOND[i % 8][a] / 4), v[i][a] = 0.01 * (rand() / (RAND_MAX + 1.0) - 0.5);
  }
  const double box[9] = {A * CELLS, 0, 0, 0, A * CELLS, 0, 0, 0, A * CELLS};
  const int pbc[3] = {1, 1, 1}; /* without a list of its own the call makes one; a code with neighbour lists gives first, j and shift */
  const fastmd_system system = {.size = sizeof system, .n = N, .n_all = N, .species = species, .x = x[0], .cell = box, .pbc = pbc};
  const fastmd_result result = {.size = sizeof result, .energy = &energy, .forces = f[0], .virial = virial};

  if (fastmd_compute(potential, &system, &result)) return failed("fastmd_compute");
  const double start = total();
  for (int step = 1; step <= STEPS; step++) { /* velocity Verlet */
    kick(DT / 2);
    for (int i = 0; i < N; i++)
      for (int a = 0; a < 3; a++) x[i][a] += DT * v[i][a];
    if (fastmd_compute(potential, &system, &result)) return failed("fastmd_compute");
    kick(DT / 2);
    if (step % 50 == 0) printf("step %3d  potential %.6f eV  total %.6f eV\n", step, energy, total());
  }
  fastmd_free(potential);
  const double drift = fabs(total() - start) / N, volume = pow(A * CELLS, 3);
  printf("pressure of the bonds %.4f eV/angstrom^3, energy gained %.1e eV/atom\n", (virial[0] + virial[4] + virial[8]) / (3 * volume), drift);
  return drift < 1e-5 ? EXIT_SUCCESS : EXIT_FAILURE;
}
