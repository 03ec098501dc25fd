// libfastmd.cpp: what stands behind fastmd.h. Chooses the instruction set, checks what comes in, cuts the work into chunks, adds up.
#include "fastmd.h"
#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include "build.hpp"
#include "kernels.hpp"
#include "pairs.hpp"
#include "parallel.hpp"

using namespace fastmd;

struct fastmd_pairs {
  PairList list;
};
struct fastmd_potential {
  Potential potential;
};

namespace {

thread_local std::string last_error;
thread_local int last_code = 0;

int fail(int code, const char *what) {
  try {
    last_error = what;
  } catch (...) {
    last_error = "no memory";  // so short that it takes none
  }
  return last_code = code;
}
int fail(int code, const std::string &what) { return fail(code, what.c_str()); }

struct Failed {  // code and text are there already
  int code;
};

// Runs body and turns what it throws into a code and a text: no exception leaves the library.
template <class F> int guarded(F body) noexcept {
  try {
    return body();
  } catch (const Failed &e) {
    return e.code;
  } catch (const FileError &e) {
    return fail(FASTMD_EFILE, e.what());
  } catch (const std::invalid_argument &e) {
    return fail(FASTMD_EARGUMENT, e.what());
  } catch (const std::bad_alloc &) {
    return fail(FASTMD_EMEMORY, "not enough memory");
  } catch (const std::length_error &) {
    return fail(FASTMD_EMEMORY, "not enough memory");
  } catch (const std::exception &e) {
    return fail(FASTMD_EARGUMENT, e.what());
  }
}

// ---- instruction sets: slowest first

struct Isa {
  const char *name;
  bool runs;
};
std::vector<Isa> isas() {
#if defined(__aarch64__)
  std::vector<Isa> list = {{"neon", true}};
#else
  std::vector<Isa> list = {{"baseline", true}};
#endif
#if defined(__x86_64__)
  __builtin_cpu_init();
  list.push_back({"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")});
  list.push_back({"avx512", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")});
#endif
  return list;
}

const Kernels *load_kernels(std::string &error) {
  const char *asked = std::getenv("FASTMD_ISA");
  std::string name, known;
  for (const Isa &s : isas()) {
    known += (known.empty() ? "" : ", ") + std::string(s.name) + (s.runs ? "" : " (not on this CPU)");
    if (asked && *asked ? s.runs && !std::strcmp(asked, s.name) : s.runs) name = s.name;
  }
  if (name.empty()) {
    error = std::string("FASTMD_ISA=") + asked + ": this build and CPU have " + known;
    return nullptr;
  }
  Dl_info here;
  if (!dladdr((const void *)&fastmd_abi, &here)) {
    error = "cannot find out where libfastmd lies";
    return nullptr;
  }
  std::string path = here.dli_fname;
  path = path.substr(0, path.rfind('/') + 1) + "libfastmd_" + name + ".so";
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *symbol = library ? dlsym(library, "fastmd_kernels") : nullptr;
  if (!symbol) {
    error = std::string("the kernels for ") + name + " could not be loaded: " + dlerror();
    return nullptr;
  }
  return ((const Kernels *(*)(void))symbol)();
}

const Kernels *kernels() {  // once per process
  static std::string error;
  static const Kernels *const k = load_kernels(error);
  if (!k) throw std::invalid_argument(error);
  return k;
}

// ---- one call: check, cut into chunks, run, add up

constexpr int MAX_CHUNKS = 16;
constexpr int64_t CHUNK_ATOMS = 8, CHUNK_ROWS = 64;  // at least so many in a chunk: of atoms; of the network alone
constexpr int64_t LONG_LIST = 1000000;  // edges: from there on looking through them is worth waking the threads

struct Buffer {  // a thread's scratch, kept from call to call, unless it is large: that goes back to the system, past the heap, which would keep it
  static constexpr size_t LARGE = size_t(1) << 22;
  void *memory = nullptr;
  size_t size = 0;
  ~Buffer() { release(); }
  void release() {
    if (size > LARGE) munmap(memory, size);
    else std::free(memory);
    memory = nullptr, size = 0;
  }
  void *hold(size_t n) {  // NULL if there is not so much, or n is 0
    if (n > size) {
      release();
      if (n <= LARGE) n = std::min(n + n / 2 + 4095, LARGE);
      n = (n + 4095) / 4096 * 4096;
      if (n > LARGE) memory = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      else memory = std::aligned_alloc(64, n);
      if (memory == MAP_FAILED) memory = nullptr;
      if (memory) size = n;
    }
    return memory;
  }
  void trim() {
    if (size > LARGE) release();
  }
};
thread_local Buffer scratch, sums;

// 0, or NaN if one of the numbers is not finite
double not_finite(const double *a, int64_t n) {
  double s[4] = {};
  int64_t k = 0;
  for (; k + 4 <= n; k += 4)
    for (int l = 0; l < 4; l++) s[l] += a[k + l] * 0;
  for (; k < n; k++) s[0] += a[k] * 0;
  return (s[0] + s[1]) + (s[2] + s[3]);
}

void check_finite(const double *a, int64_t n, const char *what) {
  if (not_finite(a, n) == 0) return;
  for (int64_t k = 0; k < n; k++)
    if (!std::isfinite(a[k])) throw std::invalid_argument(std::string(what) + ": entry " + std::to_string(k) + " is not a finite number");
}

// The least and the largest atom in a stretch of the list
void widen(const int32_t *j, const int32_t *end, int32_t &low, int32_t &high) {
  int32_t a = low, b = high;
  for (; j < end; j++) a = std::min(a, *j), b = std::max(b, *j);
  low = a, high = b;
}
[[noreturn]] void bad_index(const fastmd_system &s) {
  int64_t k = s.first[0];
  while (s.j[k] >= 0 && s.j[k] < s.n_all) k++;
  throw std::invalid_argument("j: edge " + std::to_string(k) + " names atom " + std::to_string(s.j[k]) + " of " + std::to_string(s.n_all));
}

// forces[from, to) += a chunk's forces on atoms [low, high]
template <class S> void add(const S *chunk, int64_t low, int64_t high, int64_t from, int64_t to, double *forces) {
  from = std::max(from, 3 * low), to = std::min(to, 3 * (high + 1));
  for (int64_t q = from; q < to; q++) forces[q] += chunk[q - 3 * low];
}

// All that can be wrong about a system without looking at distances or at who is in a row. Returns the longest row.
int check_system(const fastmd_potential *p, const fastmd_system *s) {
  if (!p) throw std::invalid_argument("potential is NULL");
  if (s->n < 0 || s->n_all < s->n || s->n_all > INT32_MAX) throw std::invalid_argument("n and n_all: expected 0 <= n <= n_all < 2^31");
  if (s->n_all && !s->species) throw std::invalid_argument("species is NULL");
  if (s->n && !s->first) throw std::invalid_argument("first is NULL: give a list, or pbc to have it made here");
  const int ne = p->potential.plan.n_elements;
  for (int64_t i = 0; i < s->n_all; i++)
    if (s->species[i] < -1 || s->species[i] >= ne) throw std::invalid_argument("species: atom " + std::to_string(i) + " has number " + std::to_string(s->species[i]) + ", the potential has " + std::to_string(ne) + " elements");
  if (s->n && s->first[0] < 0) throw std::invalid_argument("first: must not be negative");
  int64_t longest = 0;
  for (int64_t i = 0; i < s->n; i++) {
    const int64_t n = s->first[i + 1] - s->first[i];
    if (n < 0) throw std::invalid_argument("first: must not decrease");
    longest = std::max(longest, n);
  }
  if (longest > 10000000) throw std::invalid_argument("an atom has more than ten million neighbours");
  const int64_t m = s->n ? s->first[s->n] : 0;
  if (m && !s->j) throw std::invalid_argument("j is NULL");
  if (s->precision < FASTMD_FLOAT64 || s->precision > FASTMD_FLOAT32) throw std::invalid_argument("precision: expected 0 (float64), 1 (mixed) or 2 (float32), got " + std::to_string(s->precision));
  if (s->rows && !s->edge_row) throw std::invalid_argument("rows is given, edge_row is NULL");
  if (s->d) {
    check_finite(s->d, 3 * m, "d");
  } else {
    if (m && !s->x) throw std::invalid_argument("neither x nor d is given");
    if (s->x) check_finite(s->x, 3 * s->n_all, "x");
    if (s->shift && !s->cell) throw std::invalid_argument("shift is given, cell is NULL");
    if (s->cell) check_finite(s->cell, 9, "cell");
  }
  return int(longest);
}

// A struct of a caller's as we know it today: what was appended since the caller was built is zero.
template <class X> X whole(const X *given, size_t first_size, const char *name) {
  if (!given) throw std::invalid_argument(std::string(name) + " is NULL");
  if (given->size < first_size) throw std::invalid_argument(std::string(name) + ".size is not the size of fastmd_" + name);
  X x{};
  std::memcpy(&x, given, std::min(given->size, sizeof x));
  return x;
}

struct Call {
  const fastmd_potential *potential;
  fastmd_system system;
  Want want;
  Work part{};  // what all chunks share
  fastmd_result result{};
  std::unique_ptr<fastmd_pairs, void (*)(fastmd_pairs *)> pairs{nullptr, fastmd_free_pairs};  // where none are given
  double box[9] = {};

  Call(const fastmd_potential *p, const fastmd_system *s, Want w) : potential(p), system(whole(s, offsetof(fastmd_system, edge_row), "system")), want(w) {}
  void take(const fastmd_result *r) { result = whole(r, offsetof(fastmd_result, outside), "result"); }
  void needs(bool there, const char *what) {
    if (system.n && !there) throw std::invalid_argument(std::string(what) + " is NULL");
  }

  // The list, where the caller has none
  void find() {
    fastmd_system &s = system;
    if (!potential) throw std::invalid_argument("potential is NULL");
    if (s.n != s.n_all || s.d || s.j || s.shift || s.rows || result.edges || want == Want::rows)
      throw std::invalid_argument("first is NULL and pbc is not, so the list is made here: that takes n = n_all and x, and no j, shift, d, rows or edges");
    if (s.cell) {
      for (int k = 0; k < 9; k++) box[k] = s.pbc[k / 3] ? s.cell[k] : 0;  // there may be anything in the open directions
      s.cell = box;
    }
    pairs.reset(fastmd_find_pairs(s.n, s.x, s.cell, s.pbc, fastmd_cutoff(potential)));
    if (!pairs) throw Failed{last_code};
    s.first = fastmd_pairs_first(pairs.get()), s.j = fastmd_pairs_j(pairs.get());
    if (s.cell) s.shift = fastmd_pairs_shift(pairs.get());
  }

  int operator()() {
    if (!system.first && system.pbc) find();
    const Kernels::Arithmetic &k = system.precision && want == Want::energy ? kernels()->float32 : kernels()->float64;
    const fastmd_system &s = system;
    const int longest = check_system(potential, &s);
    const Plan &plan = potential->potential.plan;
    if (want == Want::energy && !plan.element[0].n_layers && !plan.element[0].pair) throw std::invalid_argument("this potential holds symmetry functions only, no network");
    const bool single = system.precision == FASTMD_FLOAT32 && want == Want::energy;  // forces are summed in float32
    double *forces = result.forces;
    part.plan = &plan;
    part.system = &s;
    part.energies = result.energies, part.virials = result.virials, part.edges = result.edges, part.outside = result.outside, part.want_virial = result.virial;
    part.member_energies = result.member_energies;
    const int members = plan.n_elements ? plan.element[0].n_members : 1;
    const int sets = result.member_forces ? members : 1;  // of forces: the mean's, then those of the members but the last
    if (result.member_forces && !forces) throw std::invalid_argument("member_forces are wanted but forces is NULL: both are needed");
    const int64_t m = s.n ? s.first[s.n] : 0;
    // Atoms of a species that is not ours have no kernel that would write their entries.
    if (part.energies) std::fill_n(part.energies, s.n, 0.0);
    if (part.member_energies) std::fill_n(part.member_energies, members * s.n, 0.0);
    if (part.outside) std::fill_n(part.outside, s.n, 0);
    if (part.virials) std::fill_n(part.virials, 9 * s.n, 0.0);
    if (part.edges) std::fill_n(part.edges, 3 * m, 0.0);

    const int chunks = int(std::min<int64_t>(MAX_CHUNKS, (s.n + CHUNK_ATOMS - 1) / CHUNK_ATOMS));
    const int threads = chunks < 2 ? 1 : s.threads > 0 ? s.threads : fastmd_default_threads();
    Work work[MAX_CHUNKS];
    int32_t low[MAX_CHUNKS], high[MAX_CHUNKS];  // the atoms that a chunk's forces act on: its own and those they see
    Pool::run(chunks, m > LONG_LIST ? threads : 1, [&](int c) {
      Work &w = work[c] = part;
      w.i0 = s.n * c / chunks, w.i1 = s.n * (c + 1) / chunks;
      low[c] = int32_t(w.i0), high[c] = int32_t(w.i1 - 1);
      widen(s.j + s.first[w.i0], s.j + s.first[w.i1], low[c], high[c]);
    });
    size_t place[MAX_CHUNKS + 1] = {};  // of the chunks' buffers, one after the other; a single chunk adds into the result itself
    const bool direct = chunks == 1 && !single && sets == 1;
    for (int c = 0; c < chunks; c++) {
      if (low[c] < 0 || high[c] >= s.n_all) bad_index(s);
      const size_t numbers = 3 * (size_t(high[c]) - low[c] + 1) * sets;
      place[c + 1] = place[c] + (forces && !direct ? (numbers * (single ? sizeof(float) : sizeof(double)) + 63) / 64 * 64 : 0);
      if (sets > 1) work[c].member_stride = int64_t(numbers) / sets;
    }
    char *buffer = (char *)sums.hold(place[chunks]);
    if (!buffer && place[chunks]) throw std::bad_alloc();
    if (forces && chunks < 2) std::fill_n(forces, 3 * s.n_all, 0.0);

    const size_t need = k.workspace(plan, want, longest);
    std::atomic<bool> memory{true};
    Pool::run(chunks, threads, [&](int c) {
      Work &w = work[c];
      void *space = scratch.hold(need);
      if (!space) return memory.store(false);
      w.low = direct ? 0 : low[c];
      if (direct) w.forces = forces;
      else if (forces) std::memset(buffer + place[c], 0, place[c + 1] - place[c]);
      if (forces && !direct) single ? void(w.forces32 = (float *)(buffer + place[c])) : void(w.forces = (double *)(buffer + place[c]));
      k.run(want, w, space, longest);
    });
    if (!memory) throw std::bad_alloc();
    double energy = 0, virial[9] = {};
    for (int c = 0; c < chunks; c++) {
      const Work &w = work[c];
      if (w.clash_atom >= 0)
        return fail(FASTMD_ECOINCIDENT, "atoms " + std::to_string(w.clash_atom) + " and " + std::to_string(s.j[w.clash_edge]) + " are on top of each other");
      energy += w.energy;
      for (int a = 0; a < 9; a++) virial[a] += w.virial[a];
    }
    double check = energy + (part.member_energies ? not_finite(part.member_energies, members * s.n) : 0);
    for (double v : virial) check += v;
    if (forces) {
      double bad[MAX_CHUNKS] = {};
      const int blocks = int(std::min<int64_t>(MAX_CHUNKS, s.n_all / 1024 + 1));
      Pool::run(blocks, threads, [&](int b) {
        const int64_t from = 3 * (s.n_all * b / blocks), to = 3 * (s.n_all * (b + 1) / blocks);
        auto member = [&](int m) { return result.member_forces + 3 * s.n_all * m; };
        for (int set = 0; set < sets; set++) {
          double *total = set ? member(set - 1) : forces;
          if (!direct) {
            std::fill(total + from, total + to, 0.0);
            for (int c = 0; c < chunks; c++) {
              const int64_t skip = set * work[c].member_stride;
              if (single) add((const float *)(buffer + place[c]) + skip, low[c], high[c], from, to, total);
              else add((const double *)(buffer + place[c]) + skip, low[c], high[c], from, to, total);
            }
          }
          bad[b] += not_finite(total + from, to - from);
        }
        if (!result.member_forces) return;
        double *last = member(members - 1);
        for (int64_t q = from; q < to; q++) last[q] = members * forces[q];
        for (int m = 0; m + 1 < members; m++)
          for (int64_t q = from; q < to; q++) last[q] -= member(m)[q];
      });
      for (double v : bad) check += v;
    }
    sums.trim();
    if (!std::isfinite(check))
      return fail(FASTMD_ENONFINITE, std::string("the energy or a force is not finite: are two atoms almost on top of each other, or are weights of the potential huge?") +
                                         (system.precision ? " Float32 ends at 3e38; does it work in precision float64?" : ""));
    if (result.energy) *result.energy = energy;
    if (result.virial) std::copy_n(virial, 9, result.virial);
    return 0;
  }
};

// The memory of the list that was freed last, for the next one
constexpr size_t LEFT_OVER = size_t(128) << 20;
std::atomic<fastmd_pairs *> left_over{nullptr};

const Document *document(const fastmd_potential *p) { return p ? &p->potential.doc : nullptr; }
const ElementText *element(const fastmd_potential *p, int e) { return p && e >= 0 && e < int(p->potential.doc.elements.size()) ? &p->potential.doc.elements[e] : nullptr; }

}  // namespace

extern "C" {

int fastmd_abi(void) { return FASTMD_ABI; }
const char *fastmd_last_error(void) { return last_error.c_str(); }
int fastmd_last_code(void) { return last_code; }

const char *fastmd_isa(void) {
  const char *name = nullptr;
  guarded([&] { return name = kernels()->name, 0; });
  return name;
}
const char *fastmd_isa_available(int k) {
  for (const Isa &s : isas())
    if (s.runs && k-- == 0) return s.name;
  return nullptr;
}
int fastmd_default_threads(void) {
  const char *asked = std::getenv("FASTMD_THREADS");
  const int n = asked ? std::atoi(asked) : 0;
  if (n > 0) return std::min(n, 1024);
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

fastmd_pairs *fastmd_find_pairs(int64_t n, const double *x, const double *cell, const int *pbc, double cutoff) {
  const int64_t start[2] = {0, n};
  const fastmd_search s = {sizeof s, 1, start, x, cell, pbc, cutoff, FASTMD_PAIRS_SHIFT, 0};
  return fastmd_search_pairs(&s);
}
fastmd_pairs *fastmd_search_pairs(const fastmd_search *given) {
  fastmd_pairs *out = nullptr;
  guarded([&] {
    const fastmd_search s = whole(given, sizeof *given, "search");
    if (s.structures < 0 || !s.start || s.start[0] != 0) throw std::invalid_argument("structures or start is missing or out of range");
    if (!(s.cutoff >= 1e-6) || !std::isfinite(s.cutoff)) throw std::invalid_argument("cutoff must be >= 1e-6 angstrom and finite, got " + pairs_detail::written(s.cutoff) + "; is the unit right?");
    if (s.structures && !s.pbc) throw std::invalid_argument("pbc is NULL");
    if (s.start[s.structures] && !s.x) throw std::invalid_argument("x is NULL");
    static const double open[9] = {};
    std::vector<pairs_detail::Structure> many(s.structures > 1 ? s.structures : 0);
    pairs_detail::Structure one{}, *structures = s.structures > 1 ? many.data() : &one;
    for (int64_t k = 0; k < s.structures; k++) {
      const int *pbc = s.pbc + 3 * k;
      const bool periodic = pbc[0] || pbc[1] || pbc[2];
      if (s.start[k + 1] < s.start[k] || s.start[k + 1] > INT32_MAX) throw std::invalid_argument("n, or start, is out of range");
      if (periodic && !s.cell) throw std::invalid_argument("cell is NULL but pbc is set");
      if (periodic) check_finite(s.cell + 9 * k, 9, "cell");
      structures[k] = {s.start[k + 1] - s.start[k], s.x + 3 * s.start[k], periodic ? s.cell + 9 * k : open, pbc};
    }
    const int64_t n = s.start[s.structures];
    check_finite(s.x, 3 * n, "positions");
    std::unique_ptr<fastmd_pairs> p(left_over.exchange(nullptr));
    if (!p) p = std::make_unique<fastmd_pairs>();
    p->list.has_shift = s.fill & FASTMD_PAIRS_SHIFT, p->list.has_d = s.fill & FASTMD_PAIRS_D, p->list.has_r = s.fill & FASTMD_PAIRS_R;
    find_pairs(*kernels(), s.structures, structures, s.start, s.cutoff, n <= pairs_detail::CHUNK_SITES ? 1 : s.threads > 0 ? s.threads : fastmd_default_threads(), p->list);
    out = p.release();
    return 0;
  });
  return out;
}
int64_t fastmd_pairs_count(const fastmd_pairs *p) { return p ? p->list.m : 0; }
const int64_t *fastmd_pairs_first(const fastmd_pairs *p) { return p ? p->list.first.get<int64_t>() : nullptr; }
const int32_t *fastmd_pairs_j(const fastmd_pairs *p) { return p ? p->list.j.get<int32_t>() : nullptr; }
const int32_t *fastmd_pairs_shift(const fastmd_pairs *p) { return p && p->list.has_shift ? p->list.shift.get<int32_t>() : nullptr; }
const double *fastmd_pairs_d(const fastmd_pairs *p) { return p && p->list.has_d ? p->list.d.get<double>() : nullptr; }
const double *fastmd_pairs_r(const fastmd_pairs *p) { return p && p->list.has_r ? p->list.r.get<double>() : nullptr; }
void fastmd_free_pairs(fastmd_pairs *p) {
  if (p && p->list.size() <= LEFT_OVER) p = left_over.exchange(p);
  delete p;
}

fastmd_potential *fastmd_parse(const char *text, size_t size, const char *name) {
  fastmd_potential *out = nullptr;
  guarded([&] {
    if (!text) throw std::invalid_argument("text is NULL");
    out = new fastmd_potential{Potential(Parser(std::string_view(text, size), name ? name : "potential").parse())};
    return 0;
  });
  return out;
}
fastmd_potential *fastmd_load(const char *path) {
  fastmd_potential *out = nullptr;
  guarded([&] {
    if (!path) throw std::invalid_argument("path is NULL");
    std::unique_ptr<FILE, int (*)(FILE *)> f(std::fopen(path, "rb"), std::fclose);
    if (!f) throw FileError(std::string(path) + ": cannot be opened");
    std::string text;
    std::vector<char> block(1 << 16);
    for (size_t n; (n = std::fread(block.data(), 1, block.size(), f.get()));) {
      text.append(block.data(), n);
      if (text.size() > (size_t(1) << 30)) throw FileError(std::string(path) + ": larger than 1 GiB, no potential file");
    }
    if (std::ferror(f.get())) throw FileError(std::string(path) + ": cannot be read");
    out = fastmd_parse(text.data(), text.size(), path);
    return 0;
  });
  return out;
}
void fastmd_free(fastmd_potential *p) { delete p; }

int fastmd_n_elements(const fastmd_potential *p) { return p ? p->potential.plan.n_elements : 0; }
const char *fastmd_element(const fastmd_potential *p, int e) { return element(p, e) ? element(p, e)->symbol.c_str() : nullptr; }
double fastmd_cutoff(const fastmd_potential *p) {
  double c = 0;
  for (int e = 0; e < fastmd_n_elements(p); e++) c = std::max(c, p->potential.plan.element[e].reach);
  return p ? c * p->potential.plan.length : 0;
}
int fastmd_has_network(const fastmd_potential *p) { return element(p, 0) && !element(p, 0)->layers.empty(); }
double fastmd_offset(const fastmd_potential *p, int e) { return element(p, e) ? element(p, e)->offset : 0; }
double fastmd_unit(const fastmd_potential *p, int which, const char **name) {
  if (!p || which < 0 || which > 1) return 0;
  if (name) *name = p->potential.doc.unit_name[which].c_str();
  return p->potential.doc.unit[which];
}
int fastmd_n_functions(const fastmd_potential *p, int e) { return element(p, e) ? int(element(p, e)->functions.size()) : 0; }
int fastmd_get_function(const fastmd_potential *p, int e, int k, fastmd_function *out) {
  if (!out || k < 0 || k >= fastmd_n_functions(p, e)) return fail(FASTMD_EARGUMENT, "no such function");
  const Function &f = element(p, e)->functions[k];
  if (out->size < offsetof(fastmd_function, alpha)) return fail(FASTMD_EARGUMENT, "function.size is not the size of fastmd_function");
  fastmd_function x{out->size, std::atoi(f.is().name + 1), f.a, f.b, f.is().n_parameters, {}, {}, f.cutoff, f.type_name(), f.alpha, p->potential.way(f)};
  for (int q = 0; q < x.n_parameters; q++) x.name[q] = f.is().parameter[q].name, x.value[q] = f.p[q];
  std::memcpy(out, &x, std::min(x.size, sizeof x));
  return 0;
}
const char *fastmd_scaling(const fastmd_potential *p, double *low, double *high) {
  if (!p) return nullptr;
  if (low) *low = document(p)->low;
  if (high) *high = document(p)->high;
  return SCALING_NAMES[document(p)->scaling];
}
const double *fastmd_statistics(const fastmd_potential *p, int e) { return element(p, e) && !element(p, e)->stats.empty() ? element(p, e)->stats.data() : nullptr; }
int fastmd_n_members(const fastmd_potential *p) { return element(p, 0) ? p->potential.plan.element[0].n_members : 0; }
int fastmd_n_layers(const fastmd_potential *p, int e) { return element(p, e) ? p->potential.plan.element[e].n_layers : 0; }
int fastmd_get_layer(const fastmd_potential *p, int e, int l, int *n_in, int *n_out, const char **activation, const double **weights, const double **bias) {
  if (l < 0 || l >= fastmd_n_layers(p, e) * fastmd_n_members(p)) return fail(FASTMD_EARGUMENT, "no such layer");
  if (!n_in || !n_out || !activation || !weights || !bias) return fail(FASTMD_EARGUMENT, "n_in, n_out, activation, weights or bias is NULL");
  const LayerText &y = element(p, e)->layers[l];
  *n_in = y.n_in, *n_out = y.n_out, *activation = ACTIVATION_NAMES[y.activation], *weights = y.weights.data(), *bias = y.bias.data();
  return 0;
}
int fastmd_n_pair_terms(const fastmd_potential *p) { return p ? int(document(p)->pairs.size()) : 0; }
int fastmd_get_pair_term(const fastmd_potential *p, int k, fastmd_pair_term *out) {
  if (!out || k < 0 || k >= fastmd_n_pair_terms(p)) return fail(FASTMD_EARGUMENT, "no such pair term");
  const PairText &t = document(p)->pairs[k];
  *out = {t.a, t.b, PAIR_NAMES[t.kind - PAIR_ZBL], t.start, t.outer, int(t.rows.size() / 2), t.rows.data()};
  return 0;
}
double fastmd_shortest(const fastmd_potential *p, int a, int b) {
  if (!element(p, a) || !element(p, b)) return 0;
  for (const Shortest &s : document(p)->shortest)
    if ((s.a == a && s.b == b) || (s.a == b && s.b == a)) return s.r;
  return 0;
}
int fastmd_n_notes(const fastmd_potential *p) { return p ? int(document(p)->notes.size()) : 0; }
const char *fastmd_note(const fastmd_potential *p, int k, const char **key) {
  if (k < 0 || k >= fastmd_n_notes(p)) return nullptr;
  if (key) *key = document(p)->notes[k].first.c_str();
  return document(p)->notes[k].second.c_str();
}

int fastmd_compute(const fastmd_potential *p, const fastmd_system *s, const fastmd_result *r) {
  return guarded([&] {
    Call c{p, s, Want::energy};
    c.take(r);
    return c();
  });
}
int fastmd_network(const fastmd_potential *p, int e, int64_t n, const double *G, double *E, double *dG, int threads) {
  return guarded([&] {
    if (!element(p, e) || element(p, e)->layers.empty()) throw std::invalid_argument("no network of that element");
    if (n < 0 || (n && !(G && E && dG))) throw std::invalid_argument("n, G, E or dG is missing or out of range");
    check_finite(G, n * fastmd_n_functions(p, e), "G");
    const Kernels *k = kernels();
    const Plan &plan = p->potential.plan;
    const size_t need = k->float64.workspace(plan, Want::energy, 0);
    const int chunks = int(std::min<int64_t>(MAX_CHUNKS, (n + CHUNK_ROWS - 1) / CHUNK_ROWS));
    std::atomic<bool> memory{true};
    Pool::run(chunks, threads > 0 ? threads : fastmd_default_threads(), [&](int c) {
      void *space = scratch.hold(need);
      if (!space) return memory.store(false);
      k->network(plan, e, n * c / chunks, n * (c + 1) / chunks, G, E, dG, space);
    });
    if (!memory) throw std::bad_alloc();
    return 0;
  });
}
int fastmd_value(const fastmd_potential *p, const fastmd_system *s, const int64_t *row, double *G) {
  return guarded([&] {
    Call c{p, s, Want::value};
    c.part.row = row, c.part.G = G;
    c.needs(row && G, "row or G");
    return c();
  });
}
int fastmd_vjp(const fastmd_potential *p, const fastmd_system *s, const int64_t *row, const double *g, const fastmd_result *r) {
  return guarded([&] {
    Call c{p, s, Want::vjp};
    c.take(r);
    c.result.energy = c.result.energies = c.result.member_energies = c.result.member_forces = nullptr, c.result.outside = nullptr;
    c.part.row = row, c.part.g = g;
    c.needs(row && g, "row or g");
    return c();
  });
}
int fastmd_jvp(const fastmd_potential *p, const fastmd_system *s, const int64_t *row, const double *v, const double *h, const int32_t *strain_of, double *dG) {
  return guarded([&] {
    Call c{p, s, Want::jvp};
    c.part.row = row, c.part.v = v, c.part.h = h, c.part.strain_of = strain_of, c.part.G = dG;
    c.needs(row && dG, "row or dG");
    return c();
  });
}
int fastmd_rows(const fastmd_potential *p, const fastmd_system *s, const int64_t *edge_row, double *rows) {
  return guarded([&] {
    Call c{p, s, Want::rows};
    c.part.row = edge_row, c.part.G = rows;
    c.needs(edge_row && (rows || !c.system.first || c.system.n < 1 || !c.system.first[c.system.n]), "edge_row or rows");  // where nobody has neighbours there are none
    return c();
  });
}

}  // extern "C"
