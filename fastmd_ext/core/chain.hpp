// chain.hpp: the road of one chunk of atoms: neighbourhood -> G -> network -> g = dE/dG -> p_ij = dE_i/dd_ij -> forces, virial.
//   F_i += sum_j p_ij,  F_j -= p_ij,  virial_ab -= sum_j d_a p_b
// The edge gradient p is the currency: everything that comes out follows from it in `spend`.
#pragma once
#include "angular.hpp"
#include "kernels.hpp"
#include "network.hpp"
#include "repulsion.hpp"

namespace fastmd {
inline namespace FASTMD_ISA {

// Neighbourhoods are kept from the first pass to the second for as many atoms as fit into the second-level cache.
constexpr size_t KEEP = 192 * 1024;

template <class T> struct Workspace {
  Neighbourhood<T> hood[LANES];
  Triplets<T> triplets;
  Activations<T> act;
  T *G, *dG, *energy, *flat;  // rows of LANES; one atom's functions
  int batch;
  size_t carve(char *base, const Plan &p, Want want, int max_row) {
    Carver w{base};
    hood[0].carve(w, p, max_row, want == Want::jvp);
    batch = want == Want::energy ? std::max<int>(1, int(std::min<size_t>(LANES, KEEP / (w.used + 1)))) : 1;
    for (int b = 1; b < batch; b++) hood[b].carve(w, p, max_row, false);
    triplets.carve(w, p, max_row);
    act.carve(w, p);
    G = w.take<T>(size_t(p.max_functions) * LANES);
    dG = w.take<T>(size_t(p.max_functions) * LANES);
    flat = w.take<T>(p.max_functions + width<T>);
    energy = w.take<T>(LANES);
    return w.used;
  }
};

template <class T> void radial_value(const ElementPlan &e, const Neighbourhood<T> &h, T *G) noexcept {
  for (int q = 0; q < e.n_radial; q++) {
    const Radial &f = e.radial[q];
    const T *phi = h.phi + f.shape * h.cap + h.from[f.element];
    T s = 0;
    const int n = h.count[f.element];
    int k = 0;
    vec<T> a{};
    for (; k + width<T> <= n; k += width<T>) a += load(phi + k);
    for (; k < n; k++) s += phi[k];
    G[f.index] += T(f.weight) * (s + sum<T>(a));
  }
}

template <class T> void radial_gradient(const ElementPlan &e, Neighbourhood<T> &h, const T *g) noexcept {
  for (int q = 0; q < e.n_radial; q++) {
    const Radial &f = e.radial[q];
    const T *dphi = h.dphi + f.shape * h.cap, w = g[f.index] * T(f.weight);
    for (int k = h.from[f.element]; k < h.from[f.element] + h.count[f.element]; k += width<T>) {
      vec<T> p = w * load(dphi + k);
      store<T>(h.px + k, load(h.px + k) + p * load(h.ux + k));
      store<T>(h.py + k, load(h.py + k) + p * load(h.uy + k));
      store<T>(h.pz + k, load(h.pz + k) + p * load(h.uz + k));
    }
  }
}

template <class T, Mode mode> void functions(const ElementPlan &e, Neighbourhood<T> &h, Triplets<T> &t, T *G) noexcept {
  Neighbourhood<T> radial = h;
  if (mode == Mode::jvp) radial.phi = h.dphi;  // sum_j of the change of phi
  std::memset(G, 0, sizeof(T) * e.n_functions);
  radial_value<T>(e, radial, G);
  for (int q = 0; q < e.n_blocks; q++) angular<T, mode>(e, e.block[q], h, t, nullptr, G);
}

template <class T> void gradient(const ElementPlan &e, Neighbourhood<T> &h, Triplets<T> &t, const T *g) noexcept {
  radial_gradient<T>(e, h, g);
  for (int q = 0; q < e.n_blocks; q++) angular<T, Mode::gradient>(e, e.block[q], h, t, g, (T *)nullptr);
}

// Hands the edge gradients of one atom out as they come, in eV and angstrom.
struct Account {
  Work &w;
  int64_t i;
  double Fi[3] = {}, virial[9] = {};
  FASTMD_INLINE void edge(int64_t m, int64_t j, const double d[3], const double p[3]) {  // m: its place in the list
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

template <class T> void spend(Work &w, int64_t i, const Neighbourhood<T> &h, double energy_unit) noexcept {
  const Plan &p = *w.plan;
  const double scale = energy_unit / p.length;
  Account account{w, i};
  for (int e = 0; e < p.n_elements; e++)
    for (int k = h.from[e]; k < h.from[e] + h.count[e]; k++) {
      const double f[3] = {scale * h.px[k], scale * h.py[k], scale * h.pz[k]};
      const double d[3] = {p.length * h.x[k], p.length * h.y[k], p.length * h.z[k]};
      account.edge(w.system->first[i] + h.edge[k], h.id[k], d, f);
    }
  account.close();
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
      h.px[k] += T(0.5 * dE) * h.ux[k], h.py[k] += T(0.5 * dE) * h.uy[k], h.pz[k] += T(0.5 * dE) * h.uz[k];
    }
  }
  return energy;
}

// How many functions of an atom are outside the trained range, and how many neighbours nearer than any in the training data
template <class T> int outside(const Plan &p, const ElementPlan &e, const Neighbourhood<T> &h, const T *G) noexcept {
  int n = 0;
  for (int f = 0; e.low && f < e.n_functions; f++) n += G[f] < T(e.low[f]) || G[f] > T(e.high[f]);
  for (int q = 0; e.nearest && q < p.n_elements; q++) {
    const T near = T(e.nearest[q] * (1 - 1e-9));
    for (int k = h.from[q]; k < h.from[q] + h.count[q]; k++) n += h.r[k] < near;
  }
  return n;
}

// Up to LANES atoms of one element: first pass, network, second pass.
template <class T> void batch_energy(Work &w, const ElementPlan &e, const int64_t *atom, int n, Workspace<T> &ws) noexcept {
  const Plan &p = *w.plan;
  const bool forces = w.forces || w.virials || w.edges || w.want_virial;
  std::memset(ws.G, 0, sizeof(T) * e.n_functions * LANES);
  for (int b = 0; b < n; b++) {
    if (!prepare<T>(w, atom[b], e, ws.hood[b])) return;
    functions<T, Mode::value>(e, ws.hood[b], ws.triplets, ws.flat);
    if (w.outside) w.outside[atom[b]] = outside<T>(p, e, ws.hood[b], ws.flat);
    for (int f = 0; f < e.n_functions; f++) ws.G[f * LANES + b] = (ws.flat[f] - T(e.shift[f])) * T(e.factor[f]);
  }
  network<T>(e, ws.act, ws.G, ws.energy, ws.dG);
  for (int b = 0; b < n; b++) {
    const double near = e.pair ? repel<T>(p, e, ws.hood[b], forces) : 0;
    const double E = (double(ws.energy[b]) + near + e.offset) * p.energy;
    w.energy += E;
    if (w.energies) w.energies[atom[b]] = E;
    if (!forces) continue;
    for (int f = 0; f < e.n_functions; f++) ws.flat[f] = ws.dG[f * LANES + b] * T(e.factor[f]);
    gradient<T>(e, ws.hood[b], ws.triplets, ws.flat);
    spend<T>(w, atom[b], ws.hood[b], p.energy);
  }
}

template <class T> void energy(Work &w, Workspace<T> &ws) noexcept {
  const Plan &p = *w.plan;
  for (int q = 0; q < p.n_elements; q++) {
    int64_t atom[LANES];
    int n = 0;
    for (int64_t i = w.i0; i < w.i1; i++) {
      if (w.system->species[i] == q) atom[n++] = i;
      if (n == ws.batch || (n && i + 1 == w.i1)) {
        batch_energy<T>(w, p.element[q], atom, n, ws);
        if (w.clash_atom >= 0) return;
        n = 0;
      }
    }
  }
}

template <class T> void value(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  functions<T, Mode::value>(e, ws.hood[0], ws.triplets, ws.flat);
  for (int f = 0; f < e.n_functions; f++) w.G[w.row[i] + f] = ws.flat[f];
}

template <class T> void vjp(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  for (int f = 0; f < e.n_functions; f++) ws.flat[f] = T(w.g[w.row[i] + f]);
  gradient<T>(e, ws.hood[0], ws.triplets, ws.flat);
  spend<T>(w, i, ws.hood[0], 1.0);
}

template <class T> void jvp(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  Neighbourhood<T> &n = ws.hood[0];
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
  for (int s = 0; s < e.n_shapes; s++)
    for (int q = 0; q < p.n_elements; q++)
      if (e.shape[s].used[q])
        for (int k = n.from[q]; k < n.from[q] + n.count[q]; k += width<T>) {
          T *d = n.dphi + s * n.cap + k;
          store<T>(d, load(d) * (load(n.ux + k) * load(n.vx + k) + load(n.uy + k) * load(n.vy + k) + load(n.uz + k) * load(n.vz + k)));
        }
  functions<T, Mode::jvp>(e, n, ws.triplets, ws.flat);
  for (int f = 0; f < e.n_functions; f++) w.G[w.row[i] + f] = ws.flat[f];
}

// The Jacobian of atom i, function by function: a gradient with all weights but one zero, through the parts that hold that one.
template <class T> void rows(Work &w, int64_t i, const ElementPlan &e, Workspace<T> &ws) noexcept {
  Neighbourhood<T> &n = ws.hood[0];
  const double native = 1 / w.plan->length;
  double *out = w.G + 3 * w.row[i];
  const int64_t edges = w.system->first[i + 1] - w.system->first[i];
  std::memset(out, 0, sizeof(double) * 3 * edges * e.n_functions);
  std::memset(ws.flat, 0, sizeof(T) * e.n_functions);
  auto take = [&](int f) {
    for (int q = 0; q < w.plan->n_elements; q++)
      for (int k = n.from[q]; k < n.from[q] + n.count[q]; k++) {
        double *o = out + 3 * int64_t(n.edge[k]) * e.n_functions + f;
        o[0] += native * n.px[k], o[e.n_functions] += native * n.py[k], o[2 * e.n_functions] += native * n.pz[k];
        n.px[k] = n.py[k] = n.pz[k] = 0;
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
  for (int q = 0; q < e.n_blocks; q++)
    for (int f = 0; f < e.block[q].n_terms; f++) {
      Block b = e.block[q];  // cut down to one channel and one term
      Term term = b.term[f];
      b.shape += term.channel;
      term.channel = 0;
      b.n_channels = b.n_terms = 1;
      b.term = &term;
      only<T>(b, term, w.plan->max_slots, ws.triplets);
      ws.flat[term.index] = 1;
      angular<T, Mode::gradient>(e, b, n, ws.triplets, ws.flat, (T *)nullptr);
      take(term.index);
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

inline void vjp_of_rows(Work &w, int64_t i, int nf) noexcept {
  const fastmd_system &s = *w.system;
  const double *g = w.g + w.row[i], *J = s.rows + 3 * s.edge_row[i];
  Account account{w, i};
  for (int64_t m = s.first[i]; m < s.first[i + 1]; m++, J += 3 * nf) {
    const double p[3] = {dot(J, g, nf), dot(J + nf, g, nf), dot(J + 2 * nf, g, nf)};
    double d[3];
    displacement(s, i, m, d);
    account.edge(m, s.j[m], d, p);
  }
  account.close();
}

inline void jvp_of_rows(Work &w, int64_t i, int nf) noexcept {
  const fastmd_system &s = *w.system;
  const double *J = s.rows + 3 * s.edge_row[i], *strain = w.h ? w.h + 9 * (w.strain_of ? w.strain_of[i] : 0) : nullptr;
  double *dG = w.G + w.row[i];
  std::fill_n(dG, nf, 0.0);
  for (int64_t m = s.first[i]; m < s.first[i + 1]; m++, J += 3 * nf) {
    double v[3] = {}, d[3];
    if (w.v)
      for (int a = 0; a < 3; a++) v[a] = w.v[3 * int64_t(s.j[m]) + a] - w.v[3 * i + a];
    if (strain) {
      displacement(s, i, m, d);
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
  for (int64_t i = i0; i < i1; i += LANES) {
    const int n = int(std::min<int64_t>(LANES, i1 - i));
    for (int f = 0; f < nf; f++)
      for (int b = 0; b < LANES; b++) ws.G[f * LANES + b] = (T(G[(i + std::min(b, n - 1)) * nf + f]) - T(e.shift[f])) * T(e.factor[f]);
    network<T>(e, ws.act, ws.G, ws.energy, ws.dG);
    for (int b = 0; b < n; b++) {
      E[i + b] = (double(ws.energy[b]) + e.offset) * p.energy;
      for (int f = 0; f < nf; f++) dG[(i + b) * nf + f] = double(ws.dG[f * LANES + b]) * e.factor[f] * p.energy;
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
  if (want == Want::energy) return energy<T>(w, ws);
  for (int64_t i = w.i0; i < w.i1; i++) {
    const int q = w.system->species[i];
    if (q < 0) continue;
    const ElementPlan &e = w.plan->element[q];
    if (w.system->rows && want == Want::vjp) {
      vjp_of_rows(w, i, e.n_functions);
      continue;
    }
    if (w.system->rows && want == Want::jvp) {
      jvp_of_rows(w, i, e.n_functions);
      continue;
    }
    if (!prepare<T>(w, i, e, ws.hood[0])) return;
    switch (want) {
      case Want::value: value<T>(w, i, e, ws); break;
      case Want::vjp: vjp<T>(w, i, e, ws); break;
      case Want::jvp: jvp<T>(w, i, e, ws); break;
      default: rows<T>(w, i, e, ws);
    }
  }
}

}  // namespace FASTMD_ISA
}  // namespace fastmd
