// plan.hpp: a potential as the kernels see it: plain arrays, made once by build.hpp, read only from then on.
//
// Every symmetry function is a product of few factors, and functions share factors. The plan names each factor once:
//   shape    R(r) fc(r): what a distance contributes                       (G1: R = 1; G2, G4, G5: a Gaussian; G3: a cosine; G20: a window)
//   power    ((1 + lambda cos) / 2)^n, or window of the angle: what an angle contributes
//   radial   function = sum over the neighbours of one element of a shape   (G1, G2, G3, G20)
//   block    angular functions of one pair of neighbour elements over the same triplets:
//            sum_{j<k} shape(r_ij) shape(r_ik) [shape(r_jk): narrow, G4, G21] 2^(1-zeta) (1 + lambda cos)^zeta
//   moments  G5 with a small whole zeta, the same sum without triplets: sum_j shape(r_ij) x^a y^b z^c, see moments.hpp
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

// the most atoms that one call of the network takes
constexpr int LANES = 8;

constexpr int MAX_MOMENT_DEGREE = 8;

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
  int like, times;      // Gaussian: R is the times-th power of that of an earlier shape; like < 0: it is not
};
struct Radial {
  int shape, element, index;  // index: the place in G
  double weight;
};
struct Op {
  enum Kind : int {
    POWERS,  // p^value, and in slot[out + 1] p^(value - 1); p = offset + scale x
    EXP,     // exp(-value x)
    ANGLE,   // theta = acos(cos); and in slot[out + 1] dtheta/dcos = -1 / sin
    WINDOW,  // core(|x - value| scale), x a theta; and in slot[out + 1] its derivative by cos
  } kind;
  unsigned out;
  double value, offset = 0, scale = 1;
  bool cut = false;      // p < 0 counts as 0
  bool of_slot = false;  // x: slot[a], or else the cosine, or v = r_ij^2 + r_ik^2 + r_jk^2 of exponentials
  unsigned a = 0;
  int core = 0;
};
struct Program {
  int n, n_slots;
  const Op *op;
};
struct Term {
  int channel, index;        // channel: which of the block's shapes
  unsigned value, power, derivative;  // slots: ((1 + lambda cos) / 2)^zeta, in the program of values and in that with derivatives, and (..)^(zeta-1) in that:
                                 // halves, so that large powers stay small; or window and its derivative by cos
  double norm, slope;        // 2 times the weight; lambda zeta / 2. Of a window the weight and 1
};
// A wide block has a shape for each channel. A narrow one has channels base(r_ij) base(r_ik) base(r_jk) exp(-eta v), v = r_ij^2 + r_ik^2 + r_jk^2:
// base is the cutoff itself where the shapes are Gaussians about 0, else the one shape of its one channel, and eta is 0.
struct LinearTerm {          // zeta = 1: 1 + lambda cos needs no power of its own
  int index;
  double norm, lambda;
};
struct Block {
  int a, b;  // neighbour elements, a <= b
  bool narrow, compact;  // compact: some of the shapes are, so that many products are zero
  int cutoff, n_channels, n_terms;
  const int *shape;      // wide: by channel; narrow: its base, -1 for the cutoff
  const double *eta;     // narrow: by channel
  const int *last_term, *last_linear;  // by channel: the number of the first that is not its own any more
  const int *exp_slot;   // and where `exponentials` leaves its exponential, -1 for 1
  Program values, derivatives, exponentials;
  const Term *term;      // sorted by channel
  const Term *alone;     // each of these by itself, with its own program
  const Program *alone_program;
  const LinearTerm *linear;
  int n_linear;
};
struct MomentSet {  // sum_j shape(r_ij) x^a y^b z^c over the neighbours of one element, for a + b + c <= degree
  int shape, element, degree, first;  // first: where its moments stand
};
struct MomentTerm {
  int index;
  const double *coefficient;  // of cos^n, n <= degree
  double most;                // of the function, for each pair with shapes of 1
};
struct MomentBlock {  // functions sum_{j<k} shape(r_ij) shape(r_ik) P(cos): one pair of sets
  int a, b, degree, n_terms;
  const MomentTerm *term;
  const Block *triplets;  // the same functions, for atoms where moments lose digits
};
// One line of the cache. Rows of weights begin on one and are filled up with zeros, so that a vector of any instruction set may read over a row's end.
union alignas(64) Line {
  double f64[8];
  float f32[16];
};
template <class T> constexpr int per_line = sizeof(Line) / sizeof(T);
template <class T> constexpr int whole_lines(int n) { return (n + per_line<T> - 1) / per_line<T> * per_line<T>; }
template <class T> struct Weights {
  const T *forward;  // forward + i * whole_lines<T>(n_out): from input i to all outputs
  const T *back;     // back + o * whole_lines<T>(n_in): from output o to all inputs
  const T *bias;     // of all outputs
};
struct Layer {
  int n_in, n_out, activation;
  Weights<double> f64;
  Weights<float> f32;
};
enum PairKind { PAIR_NONE, PAIR_ZBL, PAIR_TABLE };
struct PairTerm {  // repulsion.hpp; native units
  int kind, n;
  double outer, start, step;         // zero from `outer` on; ZBL: start = inner
  double charge, inv_a, S[3];        // ZBL
  const double *row;                 // table: n x (energy, slope)
};
struct ElementPlan {
  int n_functions, n_cutoffs, n_shapes, n_radial, n_blocks, n_sets, n_moment_blocks;
  int n_layers, widest;  // of one network; widest: most nodes in a layer, the input included
  int n_members;         // networks of the committee
  const Cutoff *cutoff;
  const Shape *shape;
  const Radial *radial;          // sorted by element
  const Block *block;
  const MomentSet *set;          // sorted by element
  const MomentBlock *moment_block;
  const double *shift, *factor;  // scaled G = (G - shift) * factor
  const Layer *layer;            // those of member m from layer + m * n_layers on
  const double *low, *high;      // the trained range of each G, or NULL
  const PairTerm *pair;          // by element of the neighbour, or NULL: no pair terms at all
  const double *nearest;         // by element of the neighbour: the shortest distance of the training data, 0 where unknown; or NULL
  double reach;  // the largest cutoff
  bool sorted;   // some angular functions see only a part of the neighbours: sort those by distance, and each runs over its part
  double offset;
};
struct Plan {
  int n_elements, max_functions, max_cutoffs, max_shapes, max_channels, max_slots, max_terms, max_blocks, max_degree, max_moments, max_sets, max_moment_blocks;
  const ElementPlan *element;
  double length, energy;  // the native units in angstrom and eV
};

}  // namespace fastmd
