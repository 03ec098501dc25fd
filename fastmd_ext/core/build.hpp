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
  std::deque<std::vector<uint8_t>> flags_;
  std::deque<std::vector<double>> reals_;
  std::deque<std::vector<Layer>> layers_;
  std::deque<std::vector<PairTerm>> pairs_;    // by element, if there are any
  std::deque<std::vector<double>> nearest_;

  static constexpr int CORES[] = {CUTOFF_POLY1, CUTOFF_POLY2, CUTOFF_POLY3, CUTOFF_POLY4, CUTOFF_EXP};  // in the order of CORE_NAMES, which has them twice
  template <class X> static int place(std::vector<X> &list, const X &x) {  // the number of x in the list, put there if new
    const auto it = std::find(list.begin(), list.end(), x);
    if (it != list.end()) return int(it - list.begin());
    list.push_back(x);
    return int(list.size()) - 1;
  }

  // The powers of one base that a block needs, each made of two smaller ones.
  struct Powers {
    double lambda;
    int base;
    std::map<double, int> slot;  // by exponent
  };
  static int power(std::vector<Op> &ops, int &n_slots, Powers &p, double exponent) {
    const auto it = p.slot.find(exponent);
    if (it != p.slot.end()) return it->second;
    Op op{0, p.base, 0, 0};
    if (exponent == 0) {
      op.b = Op::ONE;
    } else if (exponent != std::floor(exponent) || exponent > 4096) {
      op.b = Op::POWER, op.value = exponent;
    } else {
      double largest = 1;  // the largest power that is there already and not too large; the rest makes the other factor
      for (const auto &s : p.slot)
        if (s.first <= exponent && s.first == std::floor(s.first)) largest = std::max(largest, s.first);
      if (largest < exponent / 2) largest = std::floor(exponent / 2);
      op.a = power(ops, n_slots, p, largest);
      op.b = power(ops, n_slots, p, exponent - largest);
    }
    op.out = n_slots++;
    ops.push_back(op);
    return p.slot[exponent] = op.out;
  }

  void build(int c) {
    typedef std::tuple<int, double, double> CutoffKey;                                       // type, rc, inner
    typedef std::tuple<int, int, double, double, double, double, int, bool> ShapeKey;        // as Shape
    typedef std::tuple<bool, int, int, int> BlockKey;                                        // narrow, a, b, cutoff
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
      used.resize(shapes.size(), std::vector<uint8_t>(ne));
      for (int a = 0; a < ne; a++) {
        if (!f.is().weighted && a != f.a && a != f.b) continue;
        used[s][a] = 1;
        if (!two) radial.push_back({s, a, k, f.is().weighted ? double(number(a)) : 1.0});
        for (int b = a; two && b < ne; b++)
          if (f.is().weighted || (a == f.a && b == f.b)) angular[BlockKey{f.is().narrow, a, b, cut}].push_back(k);
      }
    }
    auto &cl = cutoffs_.emplace_back();
    for (const auto &[type, rc, inner] : cutoffs) cl.push_back({type, rc, inner});
    auto &sl = shapes_.emplace_back();
    for (const auto &[kind, cut, p0, p1, from, to, core, asymmetric] : shapes)
      sl.push_back({kind, cut, p0, p1, from, to, core, asymmetric, flags_.emplace_back(used[sl.size()]).data()});
    auto &rl = radials_.emplace_back(std::move(radial));
    auto &bl = blocks_.emplace_back();
    for (const auto &[key, members] : angular) {
      bl.push_back(block(e, key, members, shape_of));
      Block &b = bl.back();
      for (int q = 0; q < b.n_channels; q++) {
        const Shape &s = sl[b.shape[q]];
        b.compact |= s.kind == SHAPE_COMPACT;
        p.sorted |= s.from > 0 || s.to < p.reach;
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
      yl.push_back({y.n_in, y.n_out, y.activation, y.weights.data(), y.bias.data()});
      p.widest = std::max(p.widest, y.n_out);
    }
    p.n_cutoffs = int(cl.size()), p.cutoff = cl.data();
    p.n_shapes = int(sl.size()), p.shape = sl.data();
    p.n_radial = int(rl.size()), p.radial = rl.data();
    p.n_blocks = int(bl.size()), p.block = bl.data();
    p.n_layers = int(yl.size()), p.layer = yl.data();
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

  Block block(const ElementText &e, const std::tuple<bool, int, int, int> &key, const std::vector<int> &members, const std::vector<int> &shape_of) {
    Block b{};
    std::tie(b.narrow, b.a, b.b, b.cutoff) = key;
    auto &channels = ints_.emplace_back();
    auto &ops = ops_.emplace_back();
    auto &terms = terms_.emplace_back();
    std::vector<Powers> bases;
    std::vector<Op> windows;
    int n_slots = 0, theta = -1;
    auto base = [&](double lambda) -> Powers & {
      for (auto &p : bases)
        if (p.lambda == lambda) return p;
      ops.push_back({n_slots, 0, Op::BASE, lambda});
      bases.push_back({lambda, n_slots, {{1.0, n_slots}}});
      n_slots++;
      return bases.back();
    };
    auto window = [&](const Function &f, int kind) {  // the slot of A(theta), or of its derivative by cos
      constexpr double degree = M_PI / 180;
      if (theta < 0) {  // two slots: theta and its derivative
        theta = n_slots, n_slots += 2;
        ops.push_back({theta, 0, Op::ANGLE, 0});
      }
      const Op op{n_slots, theta, kind, (f.angle_left() + f.angle_right()) / 2 * degree, 2 / ((f.angle_right() - f.angle_left()) * degree), CORES[f.cutoff_type % 5]};
      for (const Op &w : windows)
        if (w.b == op.b && w.value == op.value && w.scale == op.scale && w.core == op.core) return w.out;
      ops.push_back(op);
      windows.push_back(op);
      return n_slots++;
    };
    std::vector<int> sorted = members;  // small powers first: larger ones are made of them
    std::stable_sort(sorted.begin(), sorted.end(), [&](int x, int y) { return e.functions[x].zeta() < e.functions[y].zeta(); });
    for (int k : sorted) {
      const Function &f = e.functions[k];
      const double weight = f.is().weighted ? double(number(b.a)) * number(b.b) : 1;
      const int channel = place(channels, shape_of[k]);
      if (f.compact()) terms.push_back({channel, k, window(f, Op::WINDOW), 0, weight, 1});
      else terms.push_back({channel, k, power(ops, n_slots, base(f.lambda()), f.zeta()), 0, weight * std::exp2(1 - f.zeta()), f.lambda() * f.zeta()});
    }
    b.n_value_ops = int(ops.size());
    if (theta >= 0) ops.push_back({theta + 1, 0, Op::ANGLE_SLOPE, 0});
    for (auto &t : terms) {
      const Function &f = e.functions[t.index];
      t.derivative = f.compact() ? window(f, Op::WINDOW_SLOPE) : power(ops, n_slots, base(f.lambda()), f.zeta() - 1);
    }
    std::stable_sort(terms.begin(), terms.end(), [](const Term &x, const Term &y) { return x.channel < y.channel; });
    b.n_channels = int(channels.size()), b.shape = channels.data();
    b.n_ops = int(ops.size()), b.op = ops.data();
    b.n_terms = int(terms.size()), b.term = terms.data();
    plan.max_channels = std::max(plan.max_channels, b.n_channels);
    plan.max_slots = std::max(plan.max_slots, n_slots);
    plan.max_terms = std::max(plan.max_terms, b.n_terms);
    return b;
  }
};

}  // namespace fastmd
