// plan.hpp: a potential as the kernels see it: plain arrays, made once by build.hpp, read only from then on.
//
// Every symmetry function is a product of few factors, and functions share factors. The plan names each factor once:
//   shape    R(r) fc(r): what a distance contributes                       (G1: R = 1; G2, G4, G5: a Gaussian; G3: a cosine)
//   power    (1 + lambda cos)^n: what an angle contributes
//   radial   function = sum over the neighbours of one element of a shape   (G1, G2, G3)
//   block    all angular functions of one pair of neighbour elements with the same cutoff, over the same triplets:
//            sum_{j<k} shape(r_ij) shape(r_ik) [shape(r_jk): narrow, G4] 2^(1-zeta) (1 + lambda cos)^zeta
#pragma once
#include <cstdint>

namespace fastmd {

enum CutoffType { CUTOFF_COSINE, CUTOFF_TANH3, CUTOFF_POLY2, N_CUTOFF_TYPES };
enum ShapeKind { SHAPE_ONE, SHAPE_GAUSSIAN, SHAPE_COSINE };
enum Activation { ACT_IDENTITY, ACT_TANH, ACT_SIGMOID, ACT_RELU, ACT_SOFTPLUS, N_ACTIVATIONS };

// Every kind of symmetry function, G1 first: its name, how many neighbours a term of it takes, whether r_jk is among its distances, the
// shape that each distance contributes, and its parameters in the order of the potential file. A radial kind hands its parameters to the
// shape as p0 and p1; an angular kind hands over the first, and then come lambda and zeta.
struct Parameter {
  const char *name;
  double least;
  const char *why;  // the rest of the message where the value is below that
};
constexpr double ANY = -1e300;
constexpr Parameter ETA = {"eta", 0, ""}, LAMBDA = {"lambda", ANY, ""}, ZETA = {"zeta", 1, " (below that the force is infinite at some angle)"};
constexpr int MAX_PARAMETERS = 3;
struct Kind {
  const char *name;
  int neighbours;
  bool narrow;
  ShapeKind shape;
  int n_parameters;
  Parameter parameter[MAX_PARAMETERS];
};
constexpr Kind KINDS[] = {
    {"G1", 1, false, SHAPE_ONE, 0, {}},
    {"G2", 1, false, SHAPE_GAUSSIAN, 2, {ETA, {"rs", ANY, ""}}},
    {"G3", 1, false, SHAPE_COSINE, 1, {{"kappa", ANY, ""}}},
    {"G4", 2, true, SHAPE_GAUSSIAN, 3, {ETA, LAMBDA, ZETA}},
    {"G5", 2, false, SHAPE_GAUSSIAN, 3, {ETA, LAMBDA, ZETA}},
};
constexpr int N_KINDS = sizeof KINDS / sizeof *KINDS;

// lanes of the network's batch: atoms side by side. Fixed, so that the order of additions is the same for every instruction set.
constexpr int LANES = 8;

struct Cutoff {
  int type;
  double rc;
};
struct Shape {
  int kind, cutoff;     // cutoff: its number
  double p0, p1;        // Gaussian: eta, rs; cosine: kappa
  const uint8_t *used;  // by element: does any function need it on that element's neighbours?
};
struct Radial {
  int shape, element, index;  // index: the place in G
};
struct Op {  // slot[out] = slot[a] * slot[b];  b = POWER: slot[a]^exponent;  b = BASE: 1 + lambda cos;  b = ONE: 1
  enum { POWER = -1, BASE = -2, ONE = -3 };
  int out, a, b;
  double value;  // lambda or the exponent
};
struct Term {
  int channel, index;        // channel: which of the block's shapes
  int power, derivative;     // slots of (1 + lambda cos)^zeta and of (..)^(zeta-1)
  double norm, slope;        // 2^(1-zeta); lambda zeta
};
struct Block {
  int a, b;  // neighbour elements, a <= b
  bool narrow;
  int cutoff, n_channels, n_ops, n_value_ops, n_terms;  // the first n_value_ops operations make the powers, the rest the derivatives
  const int *shape;
  const Op *op;
  const Term *term;  // sorted by channel
};
struct Layer {
  int n_in, n_out, activation;
  const double *weights, *bias;  // n_out x n_in
};
enum PairKind { PAIR_NONE, PAIR_ZBL, PAIR_TABLE };
struct PairTerm {  // repulsion.hpp; native units
  int kind, n;
  double outer, start, step;         // zero from `outer` on; ZBL: start = inner
  double charge, inv_a, S[3];        // ZBL
  const double *row;                 // table: n x (energy, slope)
};
struct ElementPlan {
  int n_functions, n_cutoffs, n_shapes, n_radial, n_blocks, n_layers, widest;  // widest: most nodes in a layer, the input included
  const Cutoff *cutoff;
  const Shape *shape;
  const Radial *radial;
  const Block *block;
  const double *shift, *factor;  // scaled G = (G - shift) * factor
  const Layer *layer;
  const double *low, *high;      // the trained range of each G, or NULL
  const PairTerm *pair;          // by element of the neighbour, or NULL: no pair terms at all
  const double *nearest;         // by element of the neighbour: the shortest distance of the training data, 0 where unknown; or NULL
  double reach;  // the largest cutoff
  double offset;
};
struct Plan {
  int n_elements, max_functions, max_cutoffs, max_shapes, max_channels, max_slots, max_terms;
  const ElementPlan *element;
  double length, energy;  // the native units in angstrom and eV
};

}  // namespace fastmd
