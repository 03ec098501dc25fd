// build.hpp: from the text of a potential to the plan that the kernels run: functions that share factors are brought together here.
#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <tuple>
#include "nnp.hpp"
#include "repulsion.hpp"

namespace fastmd {

class Potential {
 public:
  const Document doc;
  Plan plan{};

  explicit Potential(Document d) : doc(std::move(d)) {
    const int ne = int(doc.elements.size());
    elements_.resize(ne);
    for (int c = 0; c < ne; c++) build(c);
    pairs();
    plan.n_elements = ne;
    plan.element = elements_.data();
    plan.length = doc.unit[0];
    plan.energy = doc.unit[1];
  }
  Potential(const Potential &) = delete;
  int way(const Function &f) const { return f.is().neighbours == 1 ? 0 : by_moments(f) ? 2 : f.is().narrow ? 3 : 1; }  // fastmd_function.way

 private:
  std::vector<ElementPlan> elements_;
  // Deques never move what they hold, so the plan may point into them.
  std::deque<std::vector<Cutoff>> cutoffs_;
  std::deque<std::vector<Shape>> shapes_;
  std::deque<std::vector<Radial>> radials_;
  std::deque<std::vector<Block>> blocks_;
  std::deque<std::vector<int>> ints_;
  std::deque<std::vector<Op>> ops_;
  std::deque<std::vector<Term>> terms_;
  std::deque<std::vector<LinearTerm>> linear_;
  std::deque<std::vector<Program>> programs_;
  std::deque<std::vector<uint8_t>> flags_;
  std::deque<std::vector<double>> reals_;
  std::deque<std::vector<Layer>> layers_;
  std::deque<std::vector<MomentSet>> sets_;
  std::deque<std::vector<MomentBlock>> moment_blocks_;
  std::deque<std::vector<MomentTerm>> moment_terms_;
  std::deque<std::vector<Line>> lines_;
  std::deque<std::vector<PairTerm>> pairs_;    // by element, if there are any
  std::deque<std::vector<double>> nearest_;

  static constexpr int CORES[] = {CUTOFF_POLY1, CUTOFF_POLY2, CUTOFF_POLY3, CUTOFF_POLY4, CUTOFF_EXP};  // in the order of CORE_NAMES, which has them twice
  template <class X> static int place(std::vector<X> &list, const X &x) {  // the number of x in the list, put there if new
    const auto it = std::find(list.begin(), list.end(), x);
    if (it != list.end()) return int(it - list.begin());
    list.push_back(x);
    return int(list.size()) - 1;
  }

  // Writes a program: what is wanted twice is made once.
  struct Writer {
    std::vector<Op> &ops;
    unsigned slots;  // that an operation takes: with derivatives two
    int n_slots = 0;

    unsigned add(Op op) {
      for (const Op &o : ops)
        if (o.kind == op.kind && o.value == op.value && o.offset == op.offset && o.scale == op.scale && o.cut == op.cut && o.of_slot == op.of_slot && o.a == op.a && o.core == op.core) return o.out;
      op.out = unsigned(n_slots);
      n_slots += int(slots);
      ops.push_back(op);
      return op.out;
    }
    // ((1 + lambda cos) / 2)^zeta. Where it matters, 1 + lambda cos is cut off at 0: rounding makes it negative by so little that whole powers do not mind.
    unsigned power(const Function &f) {
      return add({Op::POWERS, 0, f.zeta(), 0.5, 0.5 * f.lambda(), std::abs(f.lambda()) > 1 || f.zeta() != std::floor(f.zeta())});
    }
    unsigned window(const Function &f) {
      constexpr double degree = M_PI / 180;
      Op op{Op::WINDOW, 0, (f.angle_left() + f.angle_right()) / 2 * degree, 0, 2 / ((f.angle_right() - f.angle_left()) * degree)};
      op.of_slot = true, op.a = add({Op::ANGLE, 0, 0}), op.core = CORES[f.cutoff_type % 5];
      return add(op);
    }
    Program done() const { return {int(ops.size()), n_slots, ops.data()}; }
  };

  // n x m numbers, each row on lines of its own
  template <class T, class F> const T *rows(int n, int m, F number) {
    const int row = whole_lines<T>(m);
    T *out = (T *)lines_.emplace_back(size_t(n) * row / per_line<T>).data();
    for (int k = 0; k < n; k++)
      for (int l = 0; l < m; l++) out[size_t(k) * row + l] = T(number(k, l));
    return out;
  }
  template <class T> Weights<T> pack(const LayerText &y) {
    return {rows<T>(y.n_in, y.n_out, [&](int i, int o) { return y.weights[size_t(o) * y.n_in + i]; }),
            rows<T>(y.n_out, y.n_in, [&](int o, int i) { return y.weights[size_t(o) * y.n_in + i]; }), rows<T>(1, y.n_out, [&](int, int o) { return y.bias[o]; })};
  }

  void build(int c) {
    typedef std::tuple<int, double, double> CutoffKey;                                       // type, rc, inner
    typedef std::tuple<int, int, double, double, double, double, int, bool> ShapeKey;        // as Shape
    typedef std::tuple<bool, int, int, int, int> BlockKey;                                   // narrow, a, b, cutoff, base
    typedef std::tuple<int, int, int> MomentKey;                                             // a, b, shape
    const ElementText &e = doc.elements[c];
    const int n = int(e.functions.size()), ne = int(doc.elements.size());
    ElementPlan &p = elements_[c];
    p = {};
    p.n_functions = n;
    p.offset = e.offset;

    std::vector<CutoffKey> cutoffs;
    std::vector<ShapeKey> shapes;
    std::vector<std::vector<uint8_t>> used;
    std::vector<Radial> radial;
    std::map<BlockKey, std::vector<int>> angular;
    std::map<MomentKey, std::vector<int>> moment;
    std::vector<int> shape_of(n);
    double widest = 0;  // of the compact functions: one hard cutoff serves them all, as each shape ends by itself
    for (const Function &f : e.functions) {
      p.reach = std::max(p.reach, f.cutoff);
      if (f.compact()) widest = std::max(widest, f.cutoff);
    }
    for (int k = 0; k < n; k++) {
      const Function &f = e.functions[k];
      const int t = f.cutoff_type;
      const bool two = f.is().neighbours == 2, tanh = t == CUTOFF_TANH3 || t == CUTOFF_TANH3N;
      const int cut = place(cutoffs, f.compact() ? CutoffKey{CUTOFF_HARD, widest, 0} : CutoffKey{t, f.cutoff, tanh ? 0 : f.alpha * f.cutoff});
      ShapeKey key{f.is().shape, cut, f.p[0], f.is().n_parameters > (two ? 3 : 1) ? f.p[1] : 0, 0, f.cutoff, 0, false};
      if (f.compact()) {
        key = {f.is().shape, cut, (f.left() + f.cutoff) / 2, 2 / (f.cutoff - f.left()), std::max(f.left(), 0.0), f.cutoff, CORES[t % 5], t >= 5};
      }
      const int s = shape_of[k] = place(shapes, key);
      const bool plain = two && f.is().shape == SHAPE_GAUSSIAN && f.p[1] == 0;  // then the cutoff is the base of its block
      used.resize(shapes.size(), std::vector<uint8_t>(ne));
      for (int a = 0; a < ne; a++) {
        if (!f.is().weighted && a != f.a && a != f.b) continue;
        used[s][a] |= !(plain && f.is().narrow);
        if (!two) radial.push_back({s, a, k, f.is().weighted ? double(number(a)) : 1.0});
        for (int b = a; two && b < ne; b++) {
          if (!f.is().weighted && (a != f.a || b != f.b)) continue;
          if (by_moments(f)) moment[MomentKey{a, b, s}].push_back(k);
          else angular[BlockKey{f.is().narrow, a, b, cut, !f.is().narrow ? -2 : plain ? -1 : s}].push_back(k);
        }
      }
    }
    auto &cl = cutoffs_.emplace_back();
    for (const auto &[type, rc, inner] : cutoffs) cl.push_back({type, rc, inner});
    auto &sl = shapes_.emplace_back();
    for (const auto &[kind, cut, p0, p1, from, to, core, asymmetric] : shapes)
      sl.push_back({kind, cut, p0, p1, from, to, core, asymmetric, flags_.emplace_back(used[sl.size()]).data(), -1, 0});
    for (size_t s = 0; s < sl.size(); s++)
      for (size_t t = 0; t < s && sl[s].like < 0; t++) {
        bool covered = sl[s].kind == SHAPE_GAUSSIAN && sl[t].kind == SHAPE_GAUSSIAN && sl[s].p1 == sl[t].p1 && sl[t].like < 0;
        for (int a = 0; a < ne; a++) covered &= sl[s].used[a] <= sl[t].used[a];
        if (covered && (sl[s].times = multiple(sl[s].p0, sl[t].p0))) sl[s].like = int(t);
      }
    std::stable_sort(radial.begin(), radial.end(), [](const Radial &x, const Radial &y) { return x.element < y.element; });
    auto &rl = radials_.emplace_back(std::move(radial));
    auto &bl = blocks_.emplace_back();
    for (const auto &[key, members] : angular) {
      bl.push_back(block(e, key, members, shape_of));
      Block &b = bl.back();
      for (int q = 0; q < (b.narrow ? 1 : b.n_channels); q++) {
        const int at = b.shape[q];
        b.compact |= at >= 0 && sl[at].kind == SHAPE_COMPACT;
        p.sorted |= at >= 0 ? sl[at].from > 0 || sl[at].to < p.reach : cl[b.cutoff].rc < p.reach;
      }
    }

    auto &shift = reals_.emplace_back(n, 0.0);
    auto &factor = reals_.emplace_back(n, 1.0);
    for (int k = 0; k < n && doc.scaling != SCALING_NONE; k++) {
      const double *s = &e.stats[4 * k], span = doc.high - doc.low;  // min max mean sigma
      const bool centred = doc.scaling != SCALING_MINMAX;
      factor[k] = doc.scaling == SCALING_CENTER ? 1 : doc.scaling == SCALING_SIGMA ? span / s[3] : span / (s[1] - s[0]);
      shift[k] = centred ? s[2] : s[0];
      if (doc.scaling != SCALING_CENTER) shift[k] -= doc.low / factor[k];  // low + (G - s) factor
    }
    if (!e.stats.empty()) {
      auto &low = reals_.emplace_back(n), &high = reals_.emplace_back(n);
      for (int k = 0; k < n; k++) {  // a little slack, so that rounding does not put the training data's own extremes outside
        const double *s = &e.stats[4 * k], slack = 1e-6 * (s[1] - s[0]) + 1e-9 * std::max(std::abs(s[0]), std::abs(s[1]));
        low[k] = s[0] - slack, high[k] = s[1] + slack;
      }
      p.low = low.data(), p.high = high.data();
    }
    auto &yl = layers_.emplace_back();
    p.widest = std::max(n, 1);
    for (const auto &y : e.layers) {
      yl.push_back({y.n_in, y.n_out, y.activation, pack<double>(y), pack<float>(y)});
      p.widest = std::max(p.widest, y.n_out);
    }
    p.n_cutoffs = int(cl.size()), p.cutoff = cl.data();
    p.n_shapes = int(sl.size()), p.shape = sl.data();
    moments(p, e, moment, shape_of);
    p.n_radial = int(rl.size()), p.radial = rl.data();
    p.n_blocks = int(bl.size()), p.block = bl.data();
    plan.max_blocks = std::max(plan.max_blocks, p.n_blocks);
    p.n_members = std::max(e.members, 1), p.n_layers = int(yl.size()) / p.n_members, p.layer = yl.data();
    p.shift = shift.data(), p.factor = factor.data();
    plan.max_functions = std::max(plan.max_functions, n);
    plan.max_cutoffs = std::max(plan.max_cutoffs, p.n_cutoffs);
    plan.max_shapes = std::max(plan.max_shapes, p.n_shapes);
  }

  void pairs() {
    const int ne = int(doc.elements.size());
    for (int c = 0; c < ne; c++) {
      ElementPlan &p = elements_[c];
      if (!doc.pairs.empty()) p.pair = pairs_.emplace_back(ne).data();
      if (!doc.shortest.empty()) p.nearest = nearest_.emplace_back(ne).data();
    }
    for (const PairText &t : doc.pairs) {
      PairTerm y{t.kind, int(t.rows.size() / 2), t.outer, t.start, 0, 0, 0, {}, t.rows.data()};
      if (t.kind == PAIR_TABLE) {
        y.step = (t.outer - t.start) / (y.n - 1);
      } else {
        const int a = number(t.a), b = number(t.b);
        double E, dE, d2E;
        y.charge = COULOMB * a * b / (doc.unit[0] * doc.unit[1]);
        y.inv_a = (std::pow(a, 0.23) + std::pow(b, 0.23)) / 0.46850 * doc.unit[0];
        zbl(y.charge, y.inv_a, t.outer, E, dE, d2E);
        const double w = t.outer - t.start;
        y.S[0] = (w * d2E - 3 * dE) / (w * w);
        y.S[1] = (2 * dE - w * d2E) / (w * w * w);
        y.S[2] = -E + w * dE / 2 - w * w * d2E / 12;
      }
      for (auto [c, e] : {std::pair{t.a, t.b}, {t.b, t.a}}) {
        pairs_[c][e] = y;
        elements_[c].reach = std::max(elements_[c].reach, t.outer);
      }
    }
    for (const Shortest &s : doc.shortest)
      for (auto [c, e] : {std::pair{s.a, s.b}, {s.b, s.a}}) nearest_[c][e] = s.r;
  }
  int number(int c) const {  // the nuclear charge
    const size_t at = SYMBOLS.find(" " + doc.elements[c].symbol + " ");
    return int(std::count(SYMBOLS.begin(), SYMBOLS.begin() + at, ' '));
  }

  // n, where a is n b to rounding and n is whole and not large; else 0
  static int multiple(double a, double b) {
    const double n = b > 0 ? std::round(a / b) : 0;
    return n >= 2 && n <= 256 && std::abs(a - n * b) <= 4e-16 * a ? int(n) : 0;
  }

  // moments.hpp: is a function cheaper that way? The work is that of its monomials for each neighbour, against half a triplet for each
  // other neighbour: measured to break even where there are twice as many monomials as neighbours. These are counted as in a solid, 0.05
  // atoms in a cubic angstrom, so that the choice depends on nothing but the file.
  bool by_moments(const Function &f) const {
    if (f.is().narrow || f.is().neighbours != 2 || f.compact() || f.zeta() != std::floor(f.zeta()) || f.zeta() > MAX_MOMENT_DEGREE || std::abs(f.lambda()) > 1) return false;
    const double rc = f.cutoff * doc.unit[0], neighbours = 0.05 * 4 / 3 * M_PI * rc * rc * rc, z = f.zeta();
    return (z + 1) * (z + 2) * (z + 3) / 6 <= 2 * neighbours;
  }
  void moments(ElementPlan &p, const ElementText &e, const std::map<std::tuple<int, int, int>, std::vector<int>> &groups, const std::vector<int> &shape_of) {
    std::map<std::pair<int, int>, int> degree;  // (element, shape): the highest that is needed
    for (const auto &[key, members] : groups)
      for (int k : members)
        for (int a : {std::get<0>(key), std::get<1>(key)}) degree[{a, std::get<2>(key)}] = std::max(degree[{a, std::get<2>(key)}], int(e.functions[k].zeta()));
    auto &sets = sets_.emplace_back();
    auto &blocks = moment_blocks_.emplace_back();
    auto &triplets = blocks_.emplace_back();
    triplets.reserve(groups.size());
    std::map<std::pair<int, int>, int> number_of;
    int at = 0;
    for (const auto &[key, d] : degree) {
      number_of[key] = int(sets.size());
      sets.push_back({key.second, key.first, d, at});
      at += (d + 1) * (d + 2) * (d + 3) / 6;
      plan.max_degree = std::max(plan.max_degree, d);
    }
    for (const auto &[key, members] : groups) {
      const auto [a, b, s] = key;
      auto &terms = moment_terms_.emplace_back();
      triplets.push_back(block(e, {false, a, b, p.shape[s].cutoff, -2}, members, shape_of));
      MomentBlock y{number_of[{a, s}], number_of[{b, s}], 0, 0, nullptr, &triplets.back()};
      for (int k : members) y.degree = std::max(y.degree, int(e.functions[k].zeta()));
      for (int k : members) {
        const Function &f = e.functions[k];
        auto &c = reals_.emplace_back(y.degree + 1, 0.0);
        double most = 0, x = std::exp2(1 - f.zeta()) * (f.is().weighted ? double(number(a)) * number(b) : 1);
        for (int n = 0; n <= int(f.zeta()); n++) {
          c[n] = x, most += std::abs(x);
          x *= f.lambda() * (f.zeta() - n) / (n + 1);
        }
        terms.push_back({k, c.data(), most});
      }
      y.n_terms = int(terms.size()), y.term = terms.data();
      blocks.push_back(y);
    }
    p.n_sets = int(sets.size()), p.set = sets.data();
    p.n_moment_blocks = int(blocks.size()), p.moment_block = blocks.data();
    plan.max_sets = std::max(plan.max_sets, p.n_sets);
    plan.max_moments = std::max(plan.max_moments, at);
    plan.max_moment_blocks = std::max(plan.max_moment_blocks, p.n_moment_blocks);
  }

  Block block(const ElementText &e, const std::tuple<bool, int, int, int, int> &key, const std::vector<int> &members, const std::vector<int> &shape_of) {
    Block b{};
    int shared;
    std::tie(b.narrow, b.a, b.b, b.cutoff, shared) = key;
    auto &channels = ints_.emplace_back();
    auto &etas = reals_.emplace_back();
    auto &last = ints_.emplace_back();
    auto &terms = terms_.emplace_back();
    Writer values{ops_.emplace_back(), 1}, derivatives{ops_.emplace_back(), 2};
    std::vector<std::pair<int, LinearTerm>> linear;
    for (int k : members) {
      const Function &f = e.functions[k];
      const double weight = f.is().weighted ? double(number(b.a)) * number(b.b) : 1;
      const int channel = b.narrow ? place(etas, shared < 0 ? f.p[0] : 0.0) : place(channels, shape_of[k]);
      if (channel == int(etas.size())) etas.push_back(f.p[0]);
      if (f.compact()) {
        const unsigned w = derivatives.window(f);
        terms.push_back({channel, k, values.window(f), w, w + 1, weight, 1});
      } else if (f.zeta() == 1 && std::abs(f.lambda()) <= 1) {  // else 1 + lambda cos is cut off at 0
        linear.push_back({channel, {k, weight, f.lambda()}});
      } else {
        const unsigned p = derivatives.power(f);
        terms.push_back({channel, k, values.power(f), p, p + 1, 2 * weight, f.lambda() * f.zeta() / 2});
      }
    }
    std::stable_sort(linear.begin(), linear.end(), [](const auto &x, const auto &y) { return x.first < y.first; });
    auto &ll = linear_.emplace_back();
    auto &last_linear = ints_.emplace_back(etas.size(), 0);
    for (const auto &[channel, t] : linear) ll.push_back(t), last_linear[channel] = int(ll.size());
    for (size_t q = 1; q < etas.size(); q++) last_linear[q] = std::max(last_linear[q], last_linear[q - 1]);
    b.linear = ll.data(), b.n_linear = int(ll.size()), b.last_linear = last_linear.data();
    std::stable_sort(terms.begin(), terms.end(), [](const Term &x, const Term &y) { return x.channel < y.channel; });
    b.values = values.done(), b.derivatives = derivatives.done();
    int n_slots = std::max(values.n_slots, derivatives.n_slots);
    auto &alone = terms_.emplace_back(terms);
    auto &programs = programs_.emplace_back();
    for (Term &t : alone) {
      const Function &f = e.functions[t.index];
      Writer w{ops_.emplace_back(), 2};
      t.power = f.compact() ? w.window(f) : w.power(f), t.derivative = t.power + 1;
      t.channel = 0;
      programs.push_back(w.done());
      n_slots = std::max(n_slots, w.n_slots);
    }
    b.alone = alone.data(), b.alone_program = programs.data();
    last.resize(etas.size());
    for (size_t f = 0; f < terms.size(); f++) last[terms[f].channel] = int(f) + 1;
    for (size_t q = 1; q < etas.size(); q++) last[q] = std::max(last[q], last[q - 1]);
    b.last_term = last.data();
    b.n_channels = int(etas.size()), b.eta = etas.data();
    if (b.narrow) {
      channels.push_back(shared);
      n_slots = std::max(n_slots, exponentials(b));
    }
    b.shape = channels.data();
    b.n_terms = int(terms.size()), b.term = terms.data();
    plan.max_channels = std::max(plan.max_channels, b.n_channels);
    plan.max_slots = std::max(plan.max_slots, n_slots);
    plan.max_terms = std::max(plan.max_terms, b.n_terms);
    return b;
  }

  // narrow: exp(-eta v) for each channel, as a power of another where it can be, the lowest there is
  int exponentials(Block &b) {
    Writer w{ops_.emplace_back(), 1};
    auto &slot = ints_.emplace_back(b.n_channels, -1);
    std::vector<int> order(b.n_channels);
    for (int q = 0; q < b.n_channels; q++) order[q] = q;
    std::sort(order.begin(), order.end(), [&b](int x, int y) { return b.eta[x] < b.eta[y]; });
    for (int k = 0; k < b.n_channels; k++) {
      const int q = order[k];
      if (b.eta[q] == 0) continue;
      int n = 0, of = 0;
      for (int l = k; l-- && !n;) n = multiple(b.eta[q], b.eta[order[l]]), of = slot[order[l]];
      Op op{n ? Op::POWERS : Op::EXP, 0, n ? n : b.eta[q]};
      if (n) op.of_slot = true, op.a = unsigned(of);
      slot[q] = int(w.add(op));
    }
    b.exponentials = w.done();
    b.exp_slot = slot.data();
    return w.n_slots;
  }
};

}  // namespace fastmd
