// nnp.hpp: the one parser of potential files (*.nnp): plain text, a line per thing, read with std::from_chars, so no locale gets in.
//
//   fastmd-potential 1
//   unit length angstrom 1              # the file's unit and its size in angstrom; then the same for energy in eV
//   unit energy eV 1
//   element Si offset -4.6              # in the order that numbers them; the offset is in the file's energy unit
//   scaling center 0 1                  # none | minmax | center | center-minmax | sigma, and the interval it aims at
//   functions Si 2
//   G2 Si eta 0.1 rs 0 cutoff 6 poly2 stats 0.1 2.2 1.0 0.3        # stats: min max mean sigma over the training data
//   G5 Si Si eta 0.01 rs 0 lambda 1 zeta 4 cutoff 6 poly2 alpha 0.3 stats 0 1 0.5 0.2    # without rs or alpha that is 0
//   network Si 2
//   layer 10 2 tanh                     # outputs, inputs, activation; then a line per output: its weights, last its bias
//   ...
//   network Si 2 member 2               # of a committee the second, and so on: built as the first, and as many for each element
//   ...
//   pair Si Si zbl 1 2                  # repulsion.hpp: inner and outer
//   pair Si O table 1000 0.8 1.6        # rows, first and last r; then a line per row: energy and slope, at last 0 0
//   ...
//   shortest Si Si 2.1                  # the shortest distance of the training data
//   note created 2026-11-21             # any number; free text
//   end
//
// `#` starts a comment (not in notes). Nothing is allocated on the word of a count: counts are compared with what the file still holds.
#pragma once
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>
#include "plan.hpp"

namespace fastmd {

constexpr const char *CUTOFF_NAMES[] = {"hard", "cosine", "tanh3", "tanh3n", "exp", "poly1", "poly2", "poly3", "poly4"};
constexpr const char *CORE_NAMES[] = {"p1", "p2", "p3", "p4", "e", "p1a", "p2a", "p3a", "p4a", "ea"};  // of compact functions; a: asymmetric
constexpr const char *ACTIVATION_NAMES[] = {"identity", "tanh", "sigmoid", "relu", "softplus", "gaussian", "cos", "revlogistic", "exp", "harmonic"};
constexpr const char *PAIR_NAMES[] = {"zbl", "table"};
constexpr const char *SCALING_NAMES[] = {"none", "minmax", "center", "center-minmax", "sigma"};
constexpr int MAX_MEMBERS = 1000;
constexpr std::string_view SYMBOLS =  // X: a dummy, as in ASE
    " X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb "
    "Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf "
    "Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og ";
enum Scaling { SCALING_NONE, SCALING_MINMAX, SCALING_CENTER, SCALING_CENTER_MINMAX, SCALING_SIGMA };

struct Function {
  int kind = 0, a = -1, b = -1, cutoff_type = 0, line = 0;  // kind: row of KINDS
  double p[MAX_PARAMETERS] = {}, cutoff = 0, alpha = 0;
  const Kind &is() const { return KINDS[kind]; }
  bool compact() const { return is().shape == SHAPE_COMPACT; }
  double left() const { return p[0]; }  // compact kinds
  double lambda() const { return p[is().n_parameters - 2]; }
  double zeta() const { return p[is().n_parameters - 1]; }
  double angle_left() const { return lambda(); }
  double angle_right() const { return zeta(); }
  const char *type_name() const { return compact() ? CORE_NAMES[cutoff_type] : CUTOFF_NAMES[cutoff_type]; }
};
struct LayerText {
  int n_in = 0, n_out = 0, activation = 0;
  std::vector<double> weights, bias;
};
struct ElementText {
  std::string symbol;
  double offset = 0;
  std::vector<Function> functions;
  std::vector<double> stats;  // 4 per function, or none
  std::vector<LayerText> layers;  // of all members of a committee, one after the other
  int members = 0;                // 1 for a network alone
};
struct PairText {
  int a = 0, b = 0, kind = 0;
  double start = 0, outer = 0;  // ZBL: inner and outer; table: first and last r
  std::vector<double> rows;     // table: energy and slope
};
struct Shortest {
  int a, b;
  double r;
};
struct Document {
  std::string name, unit_name[2] = {"angstrom", "eV"};
  double unit[2] = {1, 1}, low = 0, high = 1;
  int scaling = SCALING_NONE;
  std::vector<ElementText> elements;
  std::vector<PairText> pairs;
  std::vector<Shortest> shortest;
  std::vector<std::pair<std::string, std::string>> notes;
};
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Parser {
 public:
  Parser(std::string_view text, std::string name) : rest_(text) { doc_.name = std::move(name); }

  Document parse() {
    header();
    bool ended = false;
    while (!ended && next_line()) {
      const std::string_view w = word("a keyword");
      if (w == "unit") unit();
      else if (w == "element") element();
      else if (w == "scaling") scaling();
      else if (w == "functions") functions();
      else if (w == "network") network();
      else if (w == "pair") pair();
      else if (w == "shortest") shortest();
      else if (w == "note") note();
      else if (w == "end") ended = true;
      else fail("unknown keyword '" + shown(w) + "'");
      if (!ended) finish_line();
    }
    if (!ended) fail("the file stops before its line 'end': it is truncated");
    if (next_line()) fail("text after the line 'end'");
    check();
    return std::move(doc_);
  }

 private:
  Document doc_;
  std::string_view rest_, line_;
  int number_ = 0;

  [[noreturn]] void fail(const std::string &what) const { throw FileError(doc_.name + ":" + std::to_string(number_) + ": " + what); }
  static std::string shown(std::string_view w) {
    std::string s;
    for (char c : w.substr(0, 40)) s += (c >= 32 && c < 127) ? c : '?';
    return w.size() > 40 ? s + "..." : s;
  }
  static std::string written(double v) {
    char text[32];
    return std::string(text, std::to_chars(text, text + sizeof text, v).ptr);
  }
  // the next line that says something; false at the end of the text
  bool next_line() {
    while (!rest_.empty()) {
      const size_t n = rest_.find('\n');
      line_ = rest_.substr(0, n);
      rest_.remove_prefix(n == std::string_view::npos ? rest_.size() : n + 1);
      number_++;
      if (line_.substr(0, 5) != "note ") line_ = line_.substr(0, line_.find('#'));
      skip();
      if (!line_.empty()) return true;
    }
    return false;
  }
  void skip() {
    while (!line_.empty() && (line_[0] == ' ' || line_[0] == '\t' || line_[0] == '\r')) line_.remove_prefix(1);
  }
  bool at_end() {
    skip();
    return line_.empty();
  }
  bool next_is(std::string_view wanted) {
    skip();
    return line_.substr(0, line_.find_first_of(" \t\r")) == wanted;
  }
  std::string_view word(const char *wanted) {
    skip();
    if (line_.empty()) fail(std::string("expected ") + wanted + ", the line ends");
    const std::string_view w = line_.substr(0, line_.find_first_of(" \t\r"));
    line_.remove_prefix(w.size());
    return w;
  }
  void expect(const char *wanted) {
    const std::string_view w = word(wanted);
    if (w != wanted) fail(std::string("expected '") + wanted + "', got '" + shown(w) + "'");
  }
  double real(const char *what) {
    const std::string_view w = word(what);
    double v = 0;
    const auto r = std::from_chars(w.data(), w.data() + w.size(), v);
    if (r.ec != std::errc() || r.ptr != w.data() + w.size() || !std::isfinite(v)) fail(std::string(what) + ": expected a finite number, got '" + shown(w) + "'");
    return v;
  }
  int whole(const char *what, int low, int high) {
    const std::string_view w = word(what);
    int v = 0;
    const auto r = std::from_chars(w.data(), w.data() + w.size(), v);
    if (r.ec != std::errc() || r.ptr != w.data() + w.size() || v < low || v > high)
      fail(std::string(what) + ": expected a whole number from " + std::to_string(low) + " to " + std::to_string(high) + ", got '" + shown(w) + "'");
    return v;
  }
  template <size_t N> int choice(const char *what, const char *const (&names)[N]) {
    const std::string_view w = word(what);
    std::string all;
    for (size_t k = 0; k < N; k++) {
      if (w == names[k]) return int(k);
      all += std::string(k ? ", " : "") + names[k];
    }
    fail(std::string(what) + ": expected one of " + all + ", got '" + shown(w) + "'");
  }
  int known_element(const char *what) {
    const std::string_view w = word(what);
    for (size_t k = 0; k < doc_.elements.size(); k++)
      if (doc_.elements[k].symbol == w) return int(k);
    fail(std::string(what) + ": element '" + shown(w) + "' has no line 'element' above");
  }
  void finish_line() {
    if (!at_end()) fail("more on the line than expected: '" + shown(line_) + "'");
  }
  void header() {
    if (!next_line() || word("fastmd-potential") != "fastmd-potential") fail("not a fastmd potential file: its first line must be 'fastmd-potential 1'");
    const std::string_view w = word("the version");
    if (w != "1") fail("version " + shown(w) + " of the format; this fastmd reads version 1: update fastmd");
    finish_line();
  }
  void unit() {
    const char *const names[] = {"length", "energy"};
    const int k = choice("unit", names);
    const std::string_view name = word("the unit's name");
    for (unsigned char c : name)
      if (c < 32 || c == 127) fail("the unit's name: expected printable characters, got '" + shown(name) + "'");
    doc_.unit_name[k] = std::string(name);
    doc_.unit[k] = real("the unit's size");
    if (!(doc_.unit[k] > 0)) fail("the unit's size must be > 0");
  }
  void element() {
    const std::string_view w = word("an element symbol");
    if (SYMBOLS.find(" " + std::string(w) + " ") == std::string_view::npos) fail("'" + shown(w) + "' is no element symbol");
    for (const auto &e : doc_.elements)
      if (e.symbol == w) fail("element " + e.symbol + " stands twice");
    if (doc_.elements.size() == 118) fail("more than 118 elements");
    doc_.elements.push_back({std::string(w), 0, {}, {}, {}});
    expect("offset");
    doc_.elements.back().offset = real("offset");
  }
  void scaling() {
    doc_.scaling = choice("scaling", SCALING_NAMES);
    doc_.low = real("scaling, lower end");
    doc_.high = real("scaling, upper end");
    if (!(doc_.high > doc_.low)) fail("scaling: the upper end must be above the lower");
  }
  double field(const char *name) {
    expect(name);
    return real(name);
  }
  void functions() {
    ElementText &e = doc_.elements[known_element("functions")];
    if (!e.functions.empty()) fail("the functions of " + e.symbol + " stand twice");
    const int n = whole("number of functions", 0, 1000000);
    finish_line();
    for (int k = 0; k < n; k++) {
      if (!next_line()) fail("the file ends among the functions of " + e.symbol + ": " + std::to_string(k) + " of " + std::to_string(n) + " are there");
      function(e);
      finish_line();
    }
  }
  void function(ElementText &e) {
    const char *kinds[N_KINDS];
    for (int k = 0; k < N_KINDS; k++) kinds[k] = KINDS[k].name;
    Function f;
    f.line = number_;
    f.kind = choice("symmetry function", kinds);
    if (!f.is().weighted) f.a = known_element("neighbour element");
    if (!f.is().weighted && f.is().neighbours == 2) f.b = known_element("second neighbour element");
    if (f.b >= 0 && f.b < f.a) std::swap(f.a, f.b);
    for (int q = 0; q < f.is().n_parameters; q++) {
      const Parameter &p = f.is().parameter[q];
      if (p.optional && !next_is(p.name)) continue;
      f.p[q] = field(p.name);
      if (f.p[q] < p.least) fail(std::string(p.name) + " must be >= " + written(p.least) + p.why + ", got " + written(f.p[q]));
    }
    f.cutoff = field("cutoff");
    f.cutoff_type = f.compact() ? choice("core of a compact function", CORE_NAMES) : choice("cutoff type", CUTOFF_NAMES);
    if (!(f.cutoff > 0)) fail("cutoff must be > 0, got " + written(f.cutoff));
    if (f.compact()) window(f);
    else if (next_is("alpha")) f.alpha = field("alpha");
    if (!(f.alpha >= 0 && f.alpha < 1)) fail("alpha must be >= 0 and < 1, got " + written(f.alpha));
    if (!at_end()) {
      expect("stats");
      for (const char *what : {"min", "max", "mean", "sigma"}) e.stats.push_back(real(what));
    }
    e.functions.push_back(f);
    if (!e.stats.empty() && e.stats.size() != 4 * e.functions.size()) fail("either all functions of an element have 'stats' or none");
  }
  void window(const Function &f) {
    if (!(f.left() < f.cutoff)) fail("left must be below the cutoff of " + written(f.cutoff) + ", got " + written(f.left()));
    if (f.is().neighbours == 1) return;
    const double a = f.angle_left(), b = f.angle_right();
    const bool about_0 = a == -b && b <= 180, about_180 = a + b == 360 && a >= 0;
    if (!(a < b && (about_0 || about_180 || (a >= 0 && b <= 180))))
      fail("angle_left and angle_right: expected 0 <= left < right <= 180 degrees, or a window about 0 or about 180, got " + written(a) + " and " + written(b));
  }
  void network() {
    ElementText &e = doc_.elements[known_element("network")];
    const int n = whole("number of layers", 1, 1000);
    int member = 1;
    if (next_is("member")) {
      expect("member");
      member = whole("member", 2, MAX_MEMBERS);
    }
    finish_line();
    if (member <= e.members) fail((member == 1 ? "the network" : "member " + std::to_string(member)) + " of " + e.symbol + " stands twice");
    if (member > e.members + 1) fail("member " + std::to_string(member) + " of " + e.symbol + " stands before member " + std::to_string(e.members + 1));
    if (member > 1 && n != int(e.layers.size()) / e.members)
      fail("member " + std::to_string(member) + " of " + e.symbol + " has " + std::to_string(n) + " layers, the first has " + std::to_string(e.layers.size() / e.members) + ": members are built alike");
    e.members = member;
    int n_in = int(e.functions.size());
    for (int l = 0; l < n; l++) {
      if (!next_line()) fail("the file ends in the network of " + e.symbol);
      expect("layer");
      LayerText y;
      y.n_out = whole("outputs of the layer", 1, 1000000);
      y.n_in = whole("inputs of the layer", 1, 1000000);
      y.activation = choice("activation", ACTIVATION_NAMES);
      finish_line();
      if (y.n_in != n_in) fail("layer " + std::to_string(l + 1) + " of " + e.symbol + " has " + std::to_string(y.n_in) + " inputs, what comes before it gives " + std::to_string(n_in));
      if (l + 1 == n && y.n_out != 1) fail("the last layer of " + e.symbol + " must have 1 output, it has " + std::to_string(y.n_out));
      if (member > 1 && (y.n_out != e.layers[l].n_out || y.activation != e.layers[l].activation))
        fail("layer " + std::to_string(l + 1) + " of member " + std::to_string(member) + " of " + e.symbol + " has " + std::to_string(y.n_out) + " outputs through " + ACTIVATION_NAMES[y.activation] + ", that of the first " +
             std::to_string(e.layers[l].n_out) + " through " + ACTIVATION_NAMES[e.layers[l].activation] + ": members are built alike");
      if (size_t(y.n_out) > rest_.size() / 2 / (size_t(y.n_in) + 1)) fail("the file is too short for a layer of " + std::to_string(y.n_out) + " x " + std::to_string(y.n_in) + " weights");
      for (int o = 0; o < y.n_out; o++) {
        if (!next_line()) fail("the file ends among the weights of " + e.symbol);
        for (int k = 0; k < y.n_in; k++) y.weights.push_back(real("weight"));
        y.bias.push_back(real("bias"));
        finish_line();
      }
      n_in = y.n_out;
      e.layers.push_back(std::move(y));
    }
  }
  template <class X> X two_elements(const std::vector<X> &list) {  // a <= b, not in the list yet
    X x{};
    x.a = known_element("element"), x.b = known_element("second element");
    if (x.b < x.a) std::swap(x.a, x.b);
    for (const X &y : list)
      if (y.a == x.a && y.b == x.b) fail("the pair " + doc_.elements[x.a].symbol + " " + doc_.elements[x.b].symbol + " stands twice");
    return x;
  }
  void pair() {
    PairText t = two_elements(doc_.pairs);
    t.kind = PAIR_ZBL + choice("pair term", PAIR_NAMES);
    const int n = t.kind == PAIR_TABLE ? whole("number of rows", 2, 1000000) : 0;
    t.start = real(n ? "first r" : "inner"), t.outer = real(n ? "last r" : "outer");
    if (!(t.start >= 0 && t.outer > t.start)) fail("a pair term needs 0 <= inner < outer, got " + written(t.start) + " and " + written(t.outer));
    if (size_t(n) > rest_.size() / 4) fail("the file is too short for a table of " + std::to_string(n) + " rows");
    for (int k = 0; k < n; k++) {
      finish_line();
      if (!next_line()) fail("the file ends in a table of a pair");
      t.rows.push_back(real("energy")), t.rows.push_back(real("slope"));
    }
    if (n && (t.rows[2 * n - 2] != 0 || t.rows[2 * n - 1] != 0)) fail("a table must end with 0 0, or the energy would jump there");
    doc_.pairs.push_back(std::move(t));
  }
  void shortest() {
    Shortest s = two_elements(doc_.shortest);
    s.r = real("distance");
    if (!(s.r > 0)) fail("shortest: the distance must be > 0, got " + written(s.r));
    doc_.shortest.push_back(s);
  }
  void note() {
    const std::string key(word("the note's key"));
    skip();
    while (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
    doc_.notes.emplace_back(key, std::string(line_));
    line_ = {};
  }
  void check() {
    if (doc_.elements.empty()) fail("no line 'element'");
    size_t networks = 0;
    for (const PairText &t : doc_.pairs)
      if (!std::isfinite(t.outer * doc_.unit[0])) fail("the reach of a pair term is not finite in angstrom");
    for (const auto &e : doc_.elements) {
      networks += !e.layers.empty();
      for (const Function &f : e.functions) {
        number_ = f.line;
        if (!std::isfinite(f.cutoff * doc_.unit[0])) fail("the cutoff is not finite in angstrom");
      }
      for (size_t k = 0; k < e.functions.size() && doc_.scaling != SCALING_NONE; k++) {
        number_ = e.functions[k].line;
        if (e.stats.empty()) fail("scaling needs 'stats' for each function");
        const double *s = &e.stats[4 * k];
        if ((doc_.scaling == SCALING_MINMAX || doc_.scaling == SCALING_CENTER_MINMAX) && !(s[1] > s[0])) fail("max must be above min for this scaling: leave out functions that do not vary");
        if (doc_.scaling == SCALING_SIGMA && !(s[3] > 0)) fail("sigma must be > 0 for this scaling: leave out functions that do not vary");
      }
    }
    if (networks && networks != doc_.elements.size()) fail("some elements have a network and some have none");
    for (const auto &e : doc_.elements)
      if (e.members != doc_.elements[0].members)
        fail("the committee of " + doc_.elements[0].symbol + " has " + std::to_string(doc_.elements[0].members) + " members, that of " + e.symbol + " has " + std::to_string(e.members) + ": all elements need as many");
  }
};

}  // namespace fastmd
