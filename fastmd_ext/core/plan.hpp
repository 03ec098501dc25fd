// plan.hpp: a potential as the kernels see it: plain arrays, made once by build.hpp, read only from then on.
//
// Every symmetry function is a product of few factors, and functions share factors. The plan names each factor once:
//   shape    R(r) fc(r): what a distance contributes                       (G1: R = 1; G2, G4, G5: a Gaussian; G3: a cosine; G20: a window)
//   power    (1 + lambda cos)^n, or window of the angle: what an angle contributes
//   radial   function = sum over the neighbours of one element of a shape   (G1, G2, G3, G20)
//   block    all angular functions of one pair of neighbour elements with the same cutoff, over the same triplets:
//            sum_{j<k} shape(r_ij) shape(r_ik) [shape(r_jk): narrow, G4, G21] 2^(1-zeta) (1 + lambda cos)^zeta
// A function weighted by atomic numbers (G12, G13, G23-G25) is a radial or a term for each element or pair of them; they add into one place.
#pragma once
#include <cstdint>

namespace fastmd {

// n2p2's numbers. From EXP on they are also the cores of compact functions.
enum CutoffType { CUTOFF_HARD, CUTOFF_COSINE, CUTOFF_TANH3, CUTOFF_TANH3N, CUTOFF_EXP, CUTOFF_POLY1, CUTOFF_POLY2, CUTOFF_POLY3, CUTOFF_POLY4, N_CUTOFF_TYPES };
enum ShapeKind { SHAPE_ONE, SHAPE_GAUSSIAN, SHAPE_COSINE, SHAPE_COMPACT };
enum Activation { ACT_IDENTITY, ACT_TANH, ACT_SIGMOID, ACT_RELU, ACT_SOFTPLUS, ACT_GAUSSIAN, ACT_COS, ACT_REVLOGISTIC, ACT_EXP, ACT_HARMONIC, N_ACTIVATIONS };

// Every kind of symmetry function, G1 first: its name, how many neighbours a term of it takes, whether r_jk is among its distances, the
// shape that each distance contributes, and its parameters in the order of the potential file. The shape takes them as p0 and p1; the last
// two of an angular kind are those of the angle. A weighted kind sums over all elements, Z_j or Z_j Z_k times each term.
struct Parameter {
  const char *name;
  double least;
  const char *why;        // the rest of the message where the value is below that
  bool optional = false;  // not in files of before there was one, where it is 0
};
constexpr double ANY = -1e300;
constexpr Parameter ETA = {"eta", 0, ""}, RS = {"rs", ANY, ""}, RS_OR_0 = {"rs", ANY, "", true}, LEFT = {"left", ANY, ""};
constexpr Parameter LAMBDA = {"lambda", ANY, ""}, ZETA = {"zeta", 1, " (below that the force is infinite at some angle)"};
constexpr Parameter ANGLE_LEFT = {"angle_left", ANY, ""}, ANGLE_RIGHT = {"angle_right", ANY, ""};
constexpr int MAX_PARAMETERS = 4;
struct Kind {
  const char *name;
  int neighbours;
  bool narrow;
  ShapeKind shape;
  int n_parameters;
  Parameter parameter[MAX_PARAMETERS];
  bool weighted = false;
};
constexpr Kind KINDS[] = {
    {"G1", 1, false, SHAPE_ONE, 0, {}},
    {"G2", 1, false, SHAPE_GAUSSIAN, 2, {ETA, RS}},
    {"G3", 1, false, SHAPE_COSINE, 1, {{"kappa", ANY, ""}}},
    {"G4", 2, true, SHAPE_GAUSSIAN, 4, {ETA, RS_OR_0, LAMBDA, ZETA}},
    {"G5", 2, false, SHAPE_GAUSSIAN, 4, {ETA, RS_OR_0, LAMBDA, ZETA}},
    {"G12", 1, false, SHAPE_GAUSSIAN, 2, {ETA, RS}, true},
    {"G13", 2, true, SHAPE_GAUSSIAN, 4, {ETA, RS, LAMBDA, ZETA}, true},
    {"G20", 1, false, SHAPE_COMPACT, 1, {LEFT}},
    {"G21", 2, true, SHAPE_COMPACT, 3, {LEFT, ANGLE_LEFT, ANGLE_RIGHT}},
    {"G22", 2, false, SHAPE_COMPACT, 3, {LEFT, ANGLE_LEFT, ANGLE_RIGHT}},
    {"G23", 1, false, SHAPE_COMPACT, 1, {LEFT}, true},
    {"G24", 2, true, SHAPE_COMPACT, 3, {LEFT, ANGLE_LEFT, ANGLE_RIGHT}, true},
    {"G25", 2, false, SHAPE_COMPACT, 3, {LEFT, ANGLE_LEFT, ANGLE_RIGHT}, true},
};
constexpr int N_KINDS = sizeof KINDS / sizeof *KINDS;

// lanes of the network's batch: atoms side by side. Fixed, so that the order of additions is the same for every instruction set.
constexpr int LANES = 8;

struct Cutoff {
  int type;
  double rc, inner;  // 1 up to inner
};
struct Shape {
  int kind, cutoff;     // cutoff: its number
  double p0, p1;        // Gaussian: eta, rs; cosine: kappa; compact: centre, 1 / half width
  double from, to;      // zero up to `from` and from `to` on
  int core;             // compact: CutoffType
  bool asymmetric;
  const uint8_t *used;  // by element: does any function need it on that element's neighbours?
};
struct Radial {
  int shape, element, index;  // index: the place in G
  double weight;
};
struct Op {  // slot[out] = slot[a] * slot[b], or what b says
  enum {
    POWER = -1,         // slot[a]^value
    BASE = -2,          // 1 + value cos
    ONE = -3,           // 1
    ANGLE = -4,         // theta = acos(cos)
    ANGLE_SLOPE = -5,   // dtheta/dcos = -1 / sin
    WINDOW = -6,        // core(|theta - value| scale), theta in slot[a]
    WINDOW_SLOPE = -7,  // its derivative by cos, dtheta/dcos in slot[a + 1]
  };
  int out, a, b;
  double value, scale = 0;
  int core = 0;
};
struct Term {
  int channel, index;        // channel: which of the block's shapes
  int power, derivative;     // slots: (1 + lambda cos)^zeta and (..)^(zeta-1); window and its derivative by cos
  double norm, slope;        // 2^(1-zeta) times the weight; lambda zeta, or 1
};
struct Block {
  int a, b;  // neighbour elements, a <= b
  bool narrow, compact;  // compact: some of its shapes are, so that many products are zero
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
  bool sorted;   // some angular functions see only a part of the neighbours: sort those by distance, and each runs over its part
  double offset;
};
struct Plan {
  int n_elements, max_functions, max_cutoffs, max_shapes, max_channels, max_slots, max_terms;
  const ElementPlan *element;
  double length, energy;  // the native units in angstrom and eV
};

}  // namespace fastmd
