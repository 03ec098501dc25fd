/* fastmd.h: the whole of libfastmd in plain C. Python, C and MD codes all come through here.
 *
 * Conventions
 *   Lengths in angstrom, energies in eV (a potential file may hold other units; they are converted at this border).
 *   d_ij = x[j] - x[i] + shift @ cell; the rows of `cell` are the lattice vectors.
 *   forces  = -dE/dx;  virial = -dE/dstrain, the strain h acting as d -> d (1 + h), so stress = -virial / volume.
 *   A full neighbour list: every pair stands in both rows. The list may hold pairs beyond the cutoff (a skin): they count as absent.
 * Errors
 *   Functions that can fail return 0 or a FASTMD_E... code (pointers: NULL, and fastmd_last_code() has it); fastmd_last_error() has the text, per thread.
 *   Nothing here prints, exits, aborts or throws. A potential is immutable: any number of threads may use one at once.
 */
#ifndef FASTMD_H
#define FASTMD_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#define FASTMD_API __attribute__((visibility("default")))
#define FASTMD_ABI 3

enum {
  FASTMD_EARGUMENT = 1,   /* an argument is missing or out of range */
  FASTMD_EFILE = 2,       /* a potential file that is not one */
  FASTMD_EMEMORY = 3,     /* the answer does not fit into memory */
  FASTMD_ECOINCIDENT = 4, /* two atoms on top of each other */
  FASTMD_ENONFINITE = 5   /* the energy or a force came out infinite or NaN */
};

FASTMD_API int fastmd_abi(void);
FASTMD_API const char *fastmd_last_error(void);
FASTMD_API int fastmd_last_code(void);                /* of the same error: what went wrong last in this thread, not whether the last call did */
FASTMD_API const char *fastmd_isa(void);              /* the instruction set in use; NULL and an error if FASTMD_ISA asks for one this CPU lacks */
FASTMD_API const char *fastmd_isa_available(int k);   /* the k-th set this build has and this CPU runs, slowest first; NULL after the last */
FASTMD_API int fastmd_default_threads(void);          /* FASTMD_THREADS, or the CPUs this process may use */

/* ---- neighbours: a full list in compressed rows -------------------------------------------------------------- */
typedef struct fastmd_pairs fastmd_pairs;
/* pbc: 3 flags. cell: 3x3, or anything in the directions that are open. All pairs with r < cutoff, which is at
   least 1e-6 angstrom, each image its own pair. */
FASTMD_API fastmd_pairs *fastmd_find_pairs(int64_t n, const double *x, const double *cell, const int *pbc, double cutoff);
FASTMD_API int64_t fastmd_pairs_count(const fastmd_pairs *);
FASTMD_API const int64_t *fastmd_pairs_first(const fastmd_pairs *); /* n+1 */
FASTMD_API const int32_t *fastmd_pairs_j(const fastmd_pairs *);     /* m */
FASTMD_API const int32_t *fastmd_pairs_shift(const fastmd_pairs *); /* m x 3 */
FASTMD_API void fastmd_free_pairs(fastmd_pairs *);  /* its memory serves the next list */
/* The same for one structure or many, laid end to end: atoms are numbered through, first has an entry for each and one more. Rows are in the order
 * of the atoms; inside a row the order is that of the cells of the search, not that of j: the same for the same structure, whatever the threads. */
enum {
  FASTMD_PAIRS_SHIFT = 1, /* what is wanted beside first and j; the rest is NULL */
  FASTMD_PAIRS_D = 2,
  FASTMD_PAIRS_R = 4
};
typedef struct fastmd_search {
  size_t size;            /* set it to sizeof the struct: later versions only append */
  int64_t structures;
  const int64_t *start;   /* structures+1: the first atom of each; start[0] = 0 */
  const double *x;        /* of all atoms, x 3 */
  const double *cell;     /* structures x 3 x 3; may be NULL where nothing is periodic */
  const int *pbc;         /* structures x 3 */
  double cutoff;
  int fill;               /* FASTMD_PAIRS_..., added up */
  int threads;            /* 0: the default */
} fastmd_search;
FASTMD_API fastmd_pairs *fastmd_search_pairs(const fastmd_search *);
FASTMD_API const double *fastmd_pairs_d(const fastmd_pairs *);      /* m x 3 */
FASTMD_API const double *fastmd_pairs_r(const fastmd_pairs *);      /* m */

/* ---- a potential ------------------------------------------------------------------------------------------- */
typedef struct fastmd_potential fastmd_potential;
FASTMD_API fastmd_potential *fastmd_load(const char *path);
FASTMD_API fastmd_potential *fastmd_parse(const char *text, size_t size, const char *name); /* `name` stands in messages */
FASTMD_API void fastmd_free(fastmd_potential *);

FASTMD_API int fastmd_n_elements(const fastmd_potential *);
FASTMD_API const char *fastmd_element(const fastmd_potential *, int element);
FASTMD_API double fastmd_cutoff(const fastmd_potential *);                 /* angstrom, the largest of all functions */
FASTMD_API int fastmd_has_network(const fastmd_potential *);
FASTMD_API double fastmd_offset(const fastmd_potential *, int element);    /* in the file's own energy unit */
FASTMD_API double fastmd_unit(const fastmd_potential *, int which, const char **name); /* 0 length, 1 energy: its size in angstrom, eV */
FASTMD_API int fastmd_n_functions(const fastmd_potential *, int element);
typedef struct fastmd_function {
  size_t size;                    /* set it to sizeof the struct: later versions only append */
  int kind;                       /* 1 for G1, 2 for G2, ... */
  int a, b;                       /* neighbour elements; b = -1 for the kinds that take one, both -1 for those that sum over all */
  int n_parameters;               /* in the file's own units and order */
  const char *name[4];
  double value[4];
  double cutoff;
  const char *cutoff_type;        /* or the core of a compact function */
  double alpha;
  int way;                        /* how it is computed: 0 a sum over neighbours, 1 over triplets, 2 over neighbours by moments (moments.hpp), 3 over triplets with r_jk inside */
} fastmd_function;
FASTMD_API int fastmd_get_function(const fastmd_potential *, int element, int k, fastmd_function *);
FASTMD_API const char *fastmd_scaling(const fastmd_potential *, double *low, double *high);       /* its name */
FASTMD_API const double *fastmd_statistics(const fastmd_potential *, int element);               /* per function: min max mean sigma */
FASTMD_API int fastmd_n_members(const fastmd_potential *);                 /* networks per element: 1, or as many as the committee has */
FASTMD_API int fastmd_n_layers(const fastmd_potential *, int element);     /* of one network; those of member m, from 0 on, have numbers from m * n_layers on */
FASTMD_API int fastmd_get_layer(const fastmd_potential *, int element, int layer, int *n_in, int *n_out, const char **activation,
                                const double **weights /* n_out x n_in */, const double **bias);
typedef struct fastmd_pair_term { /* a repulsion that is added to the network, see repulsion.hpp; in the file's own units */
  int a, b;
  const char *kind;               /* "zbl" or "table" */
  double start, outer;            /* zbl: inner and outer; table: first and last r */
  int n;                          /* table: */
  const double *rows;             /* n x (energy, slope) */
} fastmd_pair_term;
FASTMD_API int fastmd_n_pair_terms(const fastmd_potential *);
FASTMD_API int fastmd_get_pair_term(const fastmd_potential *, int k, fastmd_pair_term *);
FASTMD_API double fastmd_shortest(const fastmd_potential *, int a, int b); /* the shortest distance in the training data, in the file's unit; 0: unknown */
FASTMD_API int fastmd_n_notes(const fastmd_potential *);                                         /* provenance */
FASTMD_API const char *fastmd_note(const fastmd_potential *, int k, const char **key);

/* ---- evaluation ---------------------------------------------------------------------------------------------- */
/* Set `size` to sizeof the struct and what is not wanted to NULL: later versions only append. */
enum {
  FASTMD_FLOAT64 = 0,
  FASTMD_MIXED = 1,        /* functions, network and edge gradients in float32; positions, displacements and the sums over atoms and edges in float64:
                              forces are off by 1e-6 to 3e-5 of the largest, wherever the origin is. Numbers beyond 3e38 are FASTMD_ENONFINITE */
  FASTMD_FLOAT32 = 2       /* the same but for the sums of forces, in float32: half the memory (12 bytes in place of 24 per atom and chunk, of
                              which there are 16), not faster; the total force is then zero to 1e-7 only */
};
typedef struct fastmd_system {
  size_t size;             /* the size of this struct; let all that is not used be zero */
  int64_t n;               /* atoms with a row in the list */
  int64_t n_all;           /* atoms in all, ghosts included: species, x and forces are this long */
  const int32_t *species;  /* n_all: index of the element in the potential; -1 = not ours, left out */
  const int64_t *first;    /* n+1 */
  const int32_t *j;        /* m, indices below n_all */
  const int32_t *shift;    /* m x 3, or NULL: all zero */
  const double *x;         /* n_all x 3, with cell ... */
  const double *cell;      /* 3 x 3; may be NULL where shift is */
  const double *d;         /* ... or m x 3 displacements in place of x, shift and cell */
  int threads;             /* 0: the default. The answer has the same bits for any number */
  const int64_t *edge_row; /* n: with rows, what fastmd_rows made of this very system, or NULL both: ... */
  const double *rows;      /* ... vjp and jvp then contract these instead of computing anew */
  int32_t precision;       /* FASTMD_FLOAT64, _MIXED or _FLOAT32 of fastmd_compute; value, vjp, jvp and rows are float64 whatever it says */
  const int *pbc;          /* 3 flags, where first is NULL: the list is then made in this call, from x and cell (NULL if all is open), of n = n_all atoms;
                              not with d, rows, edges and fastmd_rows, which follow a list of the caller's */
} fastmd_system;

typedef struct fastmd_result {
  size_t size;
  double *energy;          /* 1 */
  double *energies;        /* n */
  double *forces;          /* n_all x 3 */
  double *virial;          /* 3 x 3 */
  double *virials;         /* n x 3 x 3: of each atom's energy */
  double *edges;           /* m x 3: dE_i/dd_ij; zero beyond the cutoff */
  int32_t *outside;        /* n: how many functions of the atom are outside the range of the training data, plus how many of its neighbours
                              are nearer than any there; 0 where the file has no ranges. Not from vjp. */
  double *member_energies; /* n x fastmd_n_members: what each network of a committee makes of the atoms; `energies` are their means. No cost. Not from vjp. */
  double *member_forces;   /* fastmd_n_members x n_all x 3, with `forces`, which are their means: the second pass once for each. Not from vjp. */
} fastmd_result;

FASTMD_API int fastmd_compute(const fastmd_potential *, const fastmd_system *, const fastmd_result *);

/* The network alone: G (n x functions of the element, unscaled) -> energies E (n) and dE/dG (n x functions) */
FASTMD_API int fastmd_network(const fastmd_potential *, int element, int64_t n, const double *G, double *E, double *dG, int threads);

/* The descriptor alone. G of atom i (unscaled) stands at G + row[i], its gradient rows at rows + 3 * edge_row[i] as
 * (neighbour in list order) x 3 x (function). */
FASTMD_API int fastmd_value(const fastmd_potential *, const fastmd_system *, const int64_t *row, double *G);
/* as if the energy were sum g . G: result->energy and energies are not touched */
FASTMD_API int fastmd_vjp(const fastmd_potential *, const fastmd_system *, const int64_t *row, const double *g, const fastmd_result *);
/* dG along displacements v (n_all x 3, or NULL) and strains h (k x 3 x 3, or NULL) of which atom i takes number strain_of[i] (NULL: all number 0) */
FASTMD_API int fastmd_jvp(const fastmd_potential *, const fastmd_system *, const int64_t *row, const double *v, const double *h,
                          const int32_t *strain_of, double *dG);
FASTMD_API int fastmd_rows(const fastmd_potential *, const fastmd_system *, const int64_t *edge_row, double *rows);

#ifdef __cplusplus
}
#endif
#endif
