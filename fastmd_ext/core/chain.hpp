// chain.hpp: the road of one chunk of atoms: neighbourhood -> G -> network -> g = dE/dG -> p_ij = dE_i/dd_ij -> forces, virial.
//   F_i += sum_j p_ij,  F_j -= p_ij,  virial_ab -= sum_j d_a p_b
// The edge gradient p is the currency: everything that comes out follows from it in `spend`.
#pragma once
#include "kernels.hpp"
#include "moments.hpp"
#include "narrow.hpp"
#include "network.hpp"
#include "repulsion.hpp"
#include "wide.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

template <class T> struct Scratch {  // of the angular functions
  Terms<T, Mode::value> value;
  Terms<T, Mode::gradient> gradient;
  Terms<T, Mode::jvp> jvp;
  WideScratch<T> wide;
  Triplets<T> triplets;
  template <Mode mode> Terms<T, mode> &terms() noexcept {
    if constexpr (mode == Mode::value) return value;
    else if constexpr (mode == Mode::gradient) return gradient;
    else return jvp;
  }
  void carve(Carver &m, const Plan &p, int max_row, int cap, bool want_jvp) {
    value.carve(m, p);
    gradient.carve(m, p);
    jvp.carve(m, p);
    wide.carve(m, p, cap);
    triplets.carve(m, p, max_row, want_jvp);
  }
};

template <class T> struct Workspace {
  Neighbourhood<T> hood;
  Moments<T> moments;
  Scratch<T> scratch;
  Activations<T> act;
  T *G, *dG, *energy, *flat;  // a row of `stride` for each atom of the network's batch; energies of the members; one atom's functions
  int stride;
  size_t carve(char *base, const Plan &p, Want want, int max_row) {
    Carver w{base};
    hood.carve(w, p, max_row, want == Want::jvp);
    moments.carve(w, p, hood.cap);
    scratch.carve(w, p, max_row, hood.cap, want == Want::jvp);
    act.carve(w, p);
    stride = whole_lines<T>(p.max_functions);
    G = w.take<T>(size_t(stride) * LANES);
    dG = w.take<T>(size_t(stride) * LANES);
    flat = w.take<T>(p.max_functions + width<T>);
    energy = w.take<T>(size_t(act.members) * LANES);
    return w.used;
  }
};

// G, or in a jvp its change
template <class T, Mode mode> void radial_value(const ElementPlan &e, const Neighbourhood<T> &h, T *G) noexcept {
  for (int q = 0; q < e.n_radial; q++) {
    const Radial &f = e.radial[q];
    const T *phi = (mode == Mode::jvp ? h.dphi : h.phi) + f.shape * h.cap;
    vec<T> a{};
    for (int k = h.from[f.element]; k < h.from[f.element] + h.count[f.element]; k += width<T>) {  // the padding is beyond every cutoff: 0
      if constexpr (mode == Mode::jvp) a += load(phi + k) * load(h.along + k);
      else a += load(phi + k);
    }
    G[f.index] += T(f.weight) * sum<T>(a);
  }
}

template <class T> void radial_gradient(const ElementPlan &e, Neighbourhood<T> &h, const T *g) noexcept {
  for (int q = 0, n; q < e.n_radial; q += n) {
    const int element = e.radial[q].element;
    for (n = 1; q + n < e.n_radial && e.radial[q + n].element == element;) n++;
    for (int k = h.from[element]; k < h.from[element] + h.count[element]; k += width<T>) {
      vec<T> a = load(h.a + k);
      for (const Radial *f = e.radial + q; f < e.radial + q + n; f++) a += T(g[f->index] * T(f->weight)) * load(h.dphi + f->shape * h.cap + k);
      store<T>(h.a + k, a);
    }
  }
}

template <class T, Mode mode> void angular(const ElementPlan &e, const Block &b, Neighbourhood<T> &h, Scratch<T> &s, const T *weight, T *G, typename Triplets<T>::Keep *keep) noexcept {
  if (b.narrow) {
    Narrow<T, mode> narrow{e, b, h, s.template terms<mode>(), s.triplets};
    if (mode == Mode::gradient && keep && keep->begin >= 0) narrow.run_kept(weight, *keep);
    else narrow.run(weight, G, keep);
  } else {
    Wide<T, mode>{e, b, h, s.wide}.run(weight, G);
  }
}

// The functions that moments are too rough for
template <class T, Mode mode> void instead_of_moments(const ElementPlan &e, Neighbourhood<T> &h, const Moments<T> &moment, Scratch<T> &s, const T *weight, T *G) noexcept {
  for (int q = 0; q < e.n_moment_blocks; q++)
    if (moment.poor[q]) angular<T, mode>(e, *e.moment_block[q].triplets, h, s, weight, G, nullptr);
}

// keeping: the second pass follows
template <class T, Mode mode> void functions(const ElementPlan &e, Neighbourhood<T> &h, Moments<T> &moment, Scratch<T> &s, T *G, bool keeping) noexcept {
  std::memset(G, 0, sizeof(T) * e.n_functions);
  radial_value<T, mode>(e, h, G);
  if (e.n_sets) {
    moments<T>(e, h, moment);
    if (mode == Mode::jvp) moment_changes<T>(e, h, moment);
    moment_functions<T, mode == Mode::jvp>(e, moment, G);
    instead_of_moments<T, mode>(e, h, moment, s, nullptr, G);
  }
  s.triplets.start(keeping);
  for (int q = 0; q < e.n_blocks; q++) {
    s.triplets.keep[q].begin = -1;
    angular<T, mode>(e, e.block[q], h, s, nullptr, G, s.triplets.keep + q);
  }
}

// After functions() of the same atom with `keeping`; without, `moments` must have been made
template <class T> void gradient(const Plan &p, const ElementPlan &e, Neighbourhood<T> &h, Moments<T> &moment, Scratch<T> &s, const T *g) noexcept {
  radial_gradient<T>(e, h, g);
  if (e.n_sets) {
    moment_gradient<T>(e, h, moment, g);
    instead_of_moments<T, Mode::gradient>(e, h, moment, s, g, nullptr);
  }
  for (int q = 0; q < e.n_blocks; q++) angular<T, Mode::gradient>(e, e.block[q], h, s, g, nullptr, s.triplets.keeping ? s.triplets.keep + q : nullptr);
  add_rows<T>(p, h);
}

// Hands the edge gradients of one atom out, in eV and angstrom. S: what a chunk's forces are summed in
template <class T, class S> void spend(Work &w, int64_t i, const Neighbourhood<T> &h, double energy_unit, S *forces) noexcept {
  const Plan &p = *w.plan;
  const T scale = T(energy_unit / p.length), length = T(p.length);
  vec<T> virial[9] = {};
  for (int e = 0; e < p.n_elements; e++)
    for (int k = h.from[e]; k < h.from[e] + h.count[e]; k += width<T>) {
      vec<T> x = load(h.x + k), y = load(h.y + k), z = load(h.z + k), a = load(h.a + k);
      const vec<T> f[3] = {scale * (a * x + load(h.bx + k)), scale * (a * y + load(h.by + k)), scale * (a * z + load(h.bz + k))};
      const vec<T> d[3] = {length * x, length * y, length * z};
      for (int q = 0; q < 3; q++)
        for (int r = 0; r < 3; r++) virial[3 * q + r] -= d[q] * f[r];
      store<T>(h.bx + k, f[0]), store<T>(h.by + k, f[1]), store<T>(h.bz + k, f[2]);
    }
  Four all{};
  const T *const fx = h.bx, *const fy = h.by, *const fz = h.bz;  // kept here: no store below changes them
  const int *const id = h.id, *const edge = h.edge;
  const int64_t low = w.low;
  double *const edges = w.edges ? w.edges + 3 * w.system->first[i] : nullptr;
  for (int e = 0; e < p.n_elements; e++)
    for (int k = h.from[e], end = k + h.count[e]; k < end; k++) {
      const Four f{double(fx[k]), double(fy[k]), double(fz[k]), 0};
      all += f;
      if (forces) {
        typedef S Sums __attribute__((vector_size(4 * sizeof(S))));
        S *Fj = forces + 3 * (id[k] - low);
        const Sums sums = Sums{Fj[0], Fj[1], Fj[2], 0} - __builtin_convertvector(f, Sums);
        for (int q = 0; q < 3; q++) Fj[q] = sums[q];
      }
      if (edges)
        for (int q = 0; q < 3; q++) edges[3 * edge[k] + q] = f[q];
    }
  if (forces)
    for (int q = 0; q < 3; q++) forces[3 * (i - low) + q] += S(all[q]);
  for (int q = 0; q < 9; q++) {
    const double v = double(sum<T>(virial[q]));
    w.virial[q] += v;
    if (w.virials) w.virials[9 * i + q] = v;
  }
}

template <class T> bool prepare(Work &w, int64_t i, const ElementPlan &e, Neighbourhood<T> &h) noexcept {
  const int64_t clash = gather<T>(*w.plan, e, *w.system, i, h);
  if (clash >= 0) {
    w.clash_atom = i, w.clash_edge = clash;
    return false;
  }
  shapes<T>(*w.plan, e, h);
  return true;
}

// Half of each pair term, to the atom and to its edges. Returns its energy.
template <class T> double repel(const Plan &p, const ElementPlan &e, Neighbourhood<T> &h, bool forces) noexcept {
  double energy = 0;
  for (int q = 0; q < p.n_elements; q++) {
    const PairTerm &t = e.pair[q];
    if (t.kind == PAIR_NONE) continue;
    for (int k = h.from[q]; k < h.from[q] + h.count[q]; k++) {
      if (!(h.r[k] < T(t.outer))) continue;
      double E, dE;
      pair_term(t, double(h.r[k]), E, dE);
      energy += 0.5 * E;
      if (!forces) continue;
      h.a[k] += T(0.5 * dE) * h.inv[k];
    }
  }
  return energy;
}

// How many functions of an atom are outside the trained range, and how many neighbours nearer than any in the training data
template <class T> int outside(const Plan &p, const ElementPlan &e, const Neighbourhood<T> &h, const T *G) noexcept {
  int n = 0;
  constexpr double rounding = sizeof(T) == 4 ? 4e-6 : 0;  // of float32 in a sum, which must not put the training data's own extremes outside
  for (int f = 0; e.low && f < e.n_functions; f++) n += double(G[f]) * (G[f] > 0 ? 1 + rounding : 1 - rounding) < e.low[f] || double(G[f]) * (G[f] > 0 ? 1 - rounding : 1 + rounding) > e.high[f];
  for (int q = 0; e.nearest && q < p.n_elements; q++) {
    const T near = T(e.nearest[q] * (sizeof(T) == 4 ? 1 - 1e-6 : 1 - 1e-9));
    for (int k = h.from[q]; k < h.from[q] + h.count[q]; k++) n += h.r[k] < near;
  }
  return n;
}

// The forces of the members but the last: the second pass once for each, over triplets made anew, as the mean's used up those that were kept
template <class T> void member_forces(const Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  const Plan &p = *w.plan;
  Neighbourhood<T> &h = ws.hood;
  Work one = w;  // its sums are the mean's business
  one.edges = one.virials = nullptr;
  ws.scratch.triplets.start(false);
  for (int m = 0; m + 1 < e.n_members; m++) {
    network<T>(e, ws.act, 1, ws.G, ws.energy, ws.dG, ws.stride, m);
    for (int f = 0; f < e.n_functions; f++) ws.flat[f] = ws.dG[f] * T(e.factor[f]);
    for (T *a : {h.a, h.bx, h.by, h.bz}) std::fill_n(a, h.end, T(0));
    if (e.pair) repel<T>(p, e, h, true);
    gradient<T>(p, e, h, ws.moments, ws.scratch, ws.flat);
    if (w.forces32) spend<T>(one, i, h, p.energy, w.forces32 + (m + 1) * w.member_stride);
    else spend<T>(one, i, h, p.energy, w.forces + (m + 1) * w.member_stride);
  }
}

// First pass, network, second pass
template <class T> void energy(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  const Plan &p = *w.plan;
  const bool forces = w.forces || w.forces32 || w.virials || w.edges || w.want_virial;
  functions<T, Mode::value>(e, ws.hood, ws.moments, ws.scratch, ws.flat, forces);
  if (w.outside) w.outside[i] = outside<T>(p, e, ws.hood, ws.flat);
  if (sizeof(T) == 4)  // float32 overflows soon, and an activation can make a finite energy of an infinite G
    for (int f = 0; f < e.n_functions; f++) w.energy += double(ws.flat[f]) * 0;
  std::memset(ws.G, 0, sizeof(T) * ws.stride);
  for (int f = 0; f < e.n_functions; f++) ws.G[f] = (ws.flat[f] - T(e.shift[f])) * T(e.factor[f]);
  network<T>(e, ws.act, 1, ws.G, ws.energy, ws.dG, ws.stride);
  const double near = e.pair ? repel<T>(p, e, ws.hood, forces) : 0;
  const double E = (mean(ws.energy, e.n_members) + near + e.offset) * p.energy;
  w.energy += E;
  if (w.energies) w.energies[i] = E;
  for (int m = 0; m < e.n_members && w.member_energies; m++) w.member_energies[i * e.n_members + m] = (double(ws.energy[m]) + near + e.offset) * p.energy;
  if (!forces) return;
  for (int f = 0; f < e.n_functions; f++) ws.flat[f] = ws.dG[f] * T(e.factor[f]);
  gradient<T>(p, e, ws.hood, ws.moments, ws.scratch, ws.flat);
  if (w.forces32) spend<T>(w, i, ws.hood, p.energy, w.forces32);
  else spend<T>(w, i, ws.hood, p.energy, w.forces);
  if (w.member_stride) member_forces<T>(w, i, e, ws);
}

template <class T> void value(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  functions<T, Mode::value>(e, ws.hood, ws.moments, ws.scratch, ws.flat, false);
  for (int f = 0; f < e.n_functions; f++) w.G[w.row[i] + f] = ws.flat[f];
}

template <class T> void vjp(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  const Plan &p = *w.plan;
  for (int f = 0; f < e.n_functions; f++) ws.flat[f] = T(w.g[w.row[i] + f]);
  if (e.n_sets) moments<T>(e, ws.hood, ws.moments);
  ws.scratch.triplets.start(false);
  gradient<T>(p, e, ws.hood, ws.moments, ws.scratch, ws.flat);
  spend<T>(w, i, ws.hood, 1.0, w.forces);
}

template <class T> void jvp(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  Neighbourhood<T> &n = ws.hood;
  const Plan &p = *w.plan;
  const double native = 1 / p.length, *strain = w.h ? w.h + 9 * (w.strain_of ? w.strain_of[i] : 0) : nullptr;
  for (int k = 0; k < n.end + 2 * width<T>; k++) n.vx[k] = n.vy[k] = n.vz[k] = 0;
  for (int q = 0; q < p.n_elements; q++)
    for (int k = n.from[q]; k < n.from[q] + n.count[q]; k++) {
      double v[3] = {};
      if (w.v)
        for (int a = 0; a < 3; a++) v[a] = native * (w.v[3 * int64_t(n.id[k]) + a] - w.v[3 * i + a]);
      if (strain) {
        const double d[3] = {double(n.x[k]), double(n.y[k]), double(n.z[k])};
        for (int a = 0; a < 3; a++) v[a] += d[0] * strain[a] + d[1] * strain[3 + a] + d[2] * strain[6 + a];
      }
      n.vx[k] = T(v[0]), n.vy[k] = T(v[1]), n.vz[k] = T(v[2]);
    }
  for (int k = 0; k < n.end + 2 * width<T>; k += width<T>) store<T>(n.along + k, load(n.x + k) * load(n.vx + k) + load(n.y + k) * load(n.vy + k) + load(n.z + k) * load(n.vz + k));
  functions<T, Mode::jvp>(e, n, ws.moments, ws.scratch, ws.flat, false);
  for (int f = 0; f < e.n_functions; f++) w.G[w.row[i] + f] = ws.flat[f];
}

// The Jacobian of atom i, function by function: a gradient with all weights but one zero, through the parts that hold that one.
template <class T> void rows(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  Neighbourhood<T> &n = ws.hood;
  const double native = 1 / w.plan->length;
  double *out = w.G + 3 * w.row[i];
  const int64_t edges = w.system->first[i + 1] - w.system->first[i];
  std::fill_n(out, 3 * edges * e.n_functions, 0.0);
  std::memset(ws.flat, 0, sizeof(T) * e.n_functions);
  auto take = [&](int f) {
    for (int q = 0; q < w.plan->n_elements; q++)
      for (int k = n.from[q]; k < n.from[q] + n.count[q]; k++) {
        double *o = out + 3 * int64_t(n.edge[k]) * e.n_functions + f;
        o[0] += native * (n.a[k] * n.x[k] + n.bx[k]), o[e.n_functions] += native * (n.a[k] * n.y[k] + n.by[k]), o[2 * e.n_functions] += native * (n.a[k] * n.z[k] + n.bz[k]);
        n.a[k] = n.bx[k] = n.by[k] = n.bz[k] = 0;
      }
    ws.flat[f] = 0;
  };
  ElementPlan one = e;
  one.n_radial = 1;
  for (int q = 0; q < e.n_radial; q++) {
    one.radial = e.radial + q;
    ws.flat[one.radial->index] = 1;
    radial_gradient<T>(one, n, ws.flat);
    take(one.radial->index);
  }
  ws.scratch.triplets.start(false);
  const int none = 0, first = 1;
  auto terms_of = [&](const Block &all) {
    for (int c = 0, f = 0, l = 0; c < all.n_channels; c++) {
      Block b = all;  // cut down to one channel and one term
      b.n_channels = 1, b.eta += c;
      if (b.narrow) b.exp_slot += c;
      else b.shape += c;
      auto one_of = [&](int index) {
        ws.flat[index] = 1;
        angular<T, Mode::gradient>(e, b, n, ws.scratch, ws.flat, (T *)nullptr, nullptr);
        add_rows<T>(*w.plan, n);
        take(index);
      };
      b.n_terms = 0, b.last_term = &none, b.n_linear = 1, b.last_linear = &first;
      b.derivatives.n = 0;
      for (; l < all.last_linear[c]; l++) {
        b.linear = all.linear + l;
        one_of(b.linear->index);
      }
      b.n_terms = 1, b.last_term = &first, b.n_linear = 0, b.last_linear = &none;
      for (; f < all.last_term[c]; f++) {
        b.term = all.alone + f, b.derivatives = all.alone_program[f];
        one_of(b.term->index);
      }
    }
  };
  for (int q = 0; q < e.n_blocks; q++) terms_of(e.block[q]);
  if (e.n_sets) moments<T>(e, n, ws.moments);
  Moments<T> moment = ws.moments;
  for (int q = 0; q < e.n_moment_blocks; q++) {
    if (ws.moments.poor[q]) terms_of(*e.moment_block[q].triplets);
    else
      for (int f = 0; f < e.moment_block[q].n_terms; f++) {
        MomentBlock b = e.moment_block[q];
        b.term += f, b.n_terms = 1;
        one.moment_block = &b, one.n_moment_blocks = 1;
        moment.poor = ws.moments.poor + q;
        ws.flat[b.term->index] = 1;
        moment_gradient<T>(one, n, moment, ws.flat);
        take(b.term->index);
      }
  }
}

// vjp and jvp with the Jacobian at hand, as rows made it: (neighbour) x 3 x (function). Bound by how fast memory gives it.
FASTMD_INLINE double dot(const double *a, const double *b, int n) {
  constexpr int W = width<double>;
  vec<double> s{};
  int k = 0;
  for (; k + W <= n; k += W) s += load(a + k) * load(b + k);
  double rest = sum<double>(s);
  for (; k < n; k++) rest += a[k] * b[k];
  return rest;
}

// Hands the edge gradients of one atom out as they come.
struct Account {
  Work &w;
  int64_t i;
  double Fi[3] = {}, virial[9] = {};
  FASTMD_INLINE void edge(int64_t m, int64_t j, const Four &d, const double p[3]) {  // m: its place in the list
    if (w.forces) {
      double *Fj = w.forces + 3 * (j - w.low);
      for (int a = 0; a < 3; a++) Fj[a] -= p[a], Fi[a] += p[a];
    }
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++) virial[3 * a + b] -= d[a] * p[b];
    if (w.edges)
      for (int a = 0; a < 3; a++) w.edges[3 * m + a] = p[a];
  }
  void close() {
    if (w.forces)
      for (int a = 0; a < 3; a++) w.forces[3 * (i - w.low) + a] += Fi[a];
    for (int a = 0; a < 9; a++) w.virial[a] += virial[a];
    if (w.virials) std::memcpy(w.virials + 9 * i, virial, sizeof virial);
  }
};

inline void vjp_of_rows(Work &w, int64_t i, int nf) noexcept {
  const fastmd_system &s = *w.system;
  const double *g = w.g + w.row[i], *J = s.rows + 3 * s.edge_row[i];
  const Displacements displacements(s, i);
  Account account{w, i};
  for (int64_t m = s.first[i]; m < s.first[i + 1]; m++, J += 3 * nf) {
    const double p[3] = {dot(J, g, nf), dot(J + nf, g, nf), dot(J + 2 * nf, g, nf)};
    Four d;
    displacements.of(m, d);
    account.edge(m, s.j[m], d, p);
  }
  account.close();
}

inline void jvp_of_rows(Work &w, int64_t i, int nf) noexcept {
  const fastmd_system &s = *w.system;
  const double *J = s.rows + 3 * s.edge_row[i], *strain = w.h ? w.h + 9 * (w.strain_of ? w.strain_of[i] : 0) : nullptr;
  const Displacements displacements(s, i);
  double *dG = w.G + w.row[i];
  std::fill_n(dG, nf, 0.0);
  for (int64_t m = s.first[i]; m < s.first[i + 1]; m++, J += 3 * nf) {
    double v[3] = {};
    if (w.v)
      for (int a = 0; a < 3; a++) v[a] = w.v[3 * int64_t(s.j[m]) + a] - w.v[3 * i + a];
    if (strain) {
      Four d;
      displacements.of(m, d);
      for (int a = 0; a < 3; a++) v[a] += d[0] * strain[a] + d[1] * strain[3 + a] + d[2] * strain[6 + a];
    }
    for (int f = 0; f < nf; f++) dG[f] += v[0] * J[f] + v[1] * J[nf + f] + v[2] * J[2 * nf + f];
  }
}

template <class T> void network_alone(const Plan &p, int element, int64_t i0, int64_t i1, const double *G, double *E, double *dG, void *memory) {
  const ElementPlan &e = p.element[element];
  Workspace<T> ws;
  ws.carve((char *)memory, p, Want::energy, 0);
  const int64_t nf = e.n_functions;
  std::memset(ws.G, 0, sizeof(T) * ws.stride * LANES);
  for (int64_t i = i0; i < i1; i += LANES) {
    const int n = int(std::min<int64_t>(LANES, i1 - i));
    for (int b = 0; b < n; b++)
      for (int f = 0; f < nf; f++) ws.G[b * ws.stride + f] = (T(G[(i + b) * nf + f]) - T(e.shift[f])) * T(e.factor[f]);
    network<T>(e, ws.act, n, ws.G, ws.energy, ws.dG, ws.stride);
    for (int b = 0; b < n; b++) {
      E[i + b] = (mean(ws.energy + b * e.n_members, e.n_members) + e.offset) * p.energy;
      for (int f = 0; f < nf; f++) dG[(i + b) * nf + f] = double(ws.dG[b * ws.stride + f]) * e.factor[f] * p.energy;
    }
  }
}

template <class T> size_t workspace(const Plan &p, Want want, int max_row) {
  Workspace<T> ws;
  return ws.carve(nullptr, p, want, max_row);
}

template <class T> void run(Want want, Work &w, void *memory, int max_row) {
  Workspace<T> ws;
  ws.carve((char *)memory, *w.plan, want, max_row);
  w.clash_atom = w.clash_edge = -1;
  for (int64_t i = w.i0; i < w.i1; i++) {
    const int q = w.system->species[i];
    if (q < 0) continue;
    const ElementPlan &e = w.plan->element[q];
    const bool known = w.system->rows && (want == Want::vjp || want == Want::jvp);
    if (!known && !prepare<T>(w, i, e, ws.hood)) return;
    if (want == Want::energy) {
      energy<T>(w, i, e, ws);
    } else if constexpr (sizeof(T) == 8) {  // the descriptor alone is float64 always
      if (want == Want::value) value<T>(w, i, e, ws);
      else if (want == Want::vjp) known ? vjp_of_rows(w, i, e.n_functions) : vjp<T>(w, i, e, ws);
      else if (want == Want::jvp) known ? jvp_of_rows(w, i, e.n_functions) : jvp<T>(w, i, e, ws);
      else rows<T>(w, i, e, ws);
    }
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
