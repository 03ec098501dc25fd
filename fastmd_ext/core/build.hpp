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
    typedef std::tuple<int, double> CutoffKey;              // type, rc
    typedef std::tuple<int, double, double, int> ShapeKey;  // kind, p0, p1, cutoff
    typedef std::tuple<bool, int, int, int> BlockKey;       // narrow, a, b, cutoff
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
    for (int k = 0; k < n; k++) {
      const Function &f = e.functions[k];
      p.reach = std::max(p.reach, f.cutoff);
      const int cut = place(cutoffs, CutoffKey{f.cutoff_type, f.cutoff});
      const bool two = f.is().neighbours == 2;
      const int s = shape_of[k] = place(shapes, ShapeKey{f.is().shape, f.p[0], two ? 0 : f.p[1], cut});
      used.resize(shapes.size(), std::vector<uint8_t>(ne));
      used[s][f.a] = 1;
      if (two) {
        used[s][f.b] = 1;
        angular[BlockKey{f.is().narrow, f.a, f.b, cut}].push_back(k);
      } else {
        radial.push_back({s, f.a, k});
      }
    }
    auto &cl = cutoffs_.emplace_back();
    for (const auto &k : cutoffs) cl.push_back({std::get<0>(k), std::get<1>(k)});
    auto &sl = shapes_.emplace_back();
    for (size_t k = 0; k < shapes.size(); k++)
      sl.push_back({std::get<0>(shapes[k]), std::get<3>(shapes[k]), std::get<1>(shapes[k]), std::get<2>(shapes[k]), flags_.emplace_back(used[k]).data()});
    auto &rl = radials_.emplace_back(std::move(radial));
    auto &bl = blocks_.emplace_back();
    for (const auto &[key, members] : angular) bl.push_back(block(e, key, members, shape_of));

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
    int n_slots = 0;
    auto base = [&](double lambda) -> Powers & {
      for (auto &p : bases)
        if (p.lambda == lambda) return p;
      ops.push_back({n_slots, 0, Op::BASE, lambda});
      bases.push_back({lambda, n_slots, {{1.0, n_slots}}});
      n_slots++;
      return bases.back();
    };
    std::vector<int> sorted = members;  // small powers first: larger ones are made of them
    std::stable_sort(sorted.begin(), sorted.end(), [&](int x, int y) { return e.functions[x].zeta() < e.functions[y].zeta(); });
    for (int k : sorted) {
      const Function &f = e.functions[k];
      terms.push_back({place(channels, shape_of[k]), k, power(ops, n_slots, base(f.lambda()), f.zeta()), 0, std::exp2(1 - f.zeta()), f.lambda() * f.zeta()});
    }
    b.n_value_ops = int(ops.size());
    for (auto &t : terms) t.derivative = power(ops, n_slots, base(e.functions[t.index].lambda()), e.functions[t.index].zeta() - 1);
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
