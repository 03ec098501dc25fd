// pairs.hpp: neighbour search by cell list: a full list, every periodic image its own pair, work proportional to the number of atoms.
// Any cell (skewed, thinner than the cutoff), any mix of periodic and open directions, atoms anywhere; one structure or many, laid end to end.
//
// Here atoms are put into bins by their fractional coordinates, in float64, and the work is cut into chunks; near.hpp has the distances.
// Bins only propose: whether a pair is within the cutoff is decided on d = x[j] - x[i] + shift @ cell, computed from the positions as given,
// so the list is exactly what brute force finds. An atom's row does not depend on the chunks, hence not on the threads.
#pragma once
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include "kernels.hpp"
#include "parallel.hpp"

namespace fastmd {

// Memory that grows, and is kept from call to call: pages that are new to a process take longer than the search.
class Room {
 public:
  Room() = default;
  Room(const Room &) = delete;
  Room &operator=(const Room &) = delete;
  ~Room() { std::free(memory_); }
  size_t size() const { return size_; }
  void swap(Room &other) { std::swap(memory_, other.memory_), std::swap(size_, other.size_); }
  void release() { std::free(memory_), memory_ = nullptr, size_ = 0; }
  template <class T> T *get() const { return (T *)memory_; }
  template <class T> T *hold(int64_t n) {  // what was in it may be lost
    if (size_t(n) * sizeof(T) > size_) {
      release();
      grow(size_t(n) * sizeof(T));
    }
    return (T *)memory_;
  }
  template <class T> T *keep(int64_t n) {  // what was in it stays
    if (size_t(n) * sizeof(T) > size_) grow(size_t(n) * sizeof(T));
    return (T *)memory_;
  }

 private:
  void grow(size_t bytes) {
    if (bytes > size_t(PTRDIFF_MAX) / 2) throw std::bad_alloc();
    bytes = bytes + 256;
    void *fresh = std::realloc(memory_, bytes);
    if (!fresh) throw std::bad_alloc();
    memory_ = fresh, size_ = bytes;
  }
  void *memory_ = nullptr;
  size_t size_ = 0;
};

namespace pairs_detail {

struct Vec {
  double v[3];
  double &operator[](int k) { return v[k]; }
  double operator[](int k) const { return v[k]; }
};
inline double dot(const Vec &a, const Vec &b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
inline Vec cross(const Vec &a, const Vec &b) { return {{a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]}}; }
inline Vec times(const Vec &a, double s) { return {{a[0] * s, a[1] * s, a[2] * s}}; }
inline double norm(const Vec &a) { return std::sqrt(dot(a, a)); }

// The lattice vectors; open directions get unit vectors at right angles to all others.
inline void basis(const double *cell, const int *pbc, Vec B[3]) {
  int periodic = 0;
  for (int k = 0; k < 3; k++)
    if (pbc[k]) {
      for (int a = 0; a < 3; a++) B[k][a] = cell[3 * k + a];
      if (!(norm(B[k]) > 0)) throw std::invalid_argument("cell: lattice vector " + std::to_string(k) + " is zero but pbc is set along it");
      periodic++;
    }
  for (int k = 0; k < 3; k++) {
    if (pbc[k]) continue;
    const int p = (k + 1) % 3, q = (k + 2) % 3;
    if (periodic == 0) {
      B[k] = {{k == 0 ? 1.0 : 0, k == 1 ? 1.0 : 0, k == 2 ? 1.0 : 0}};
    } else if (periodic == 1) {  // two open: the first takes any vector at right angles to the lattice vector, the second the cross product
      const int a = pbc[p] ? p : q, other = a == p ? q : p;
      const Vec u = times(B[a], 1 / norm(B[a]));
      int least = 0;
      for (int c = 1; c < 3; c++)
        if (std::fabs(u[c]) < std::fabs(u[least])) least = c;
      Vec w{{0, 0, 0}};
      w[least] = 1;
      B[k] = cross(u, w);
      B[k] = times(B[k], 1 / norm(B[k]));
      B[other] = cross(u, B[k]);
      return;
    } else {
      B[k] = cross(B[p], B[q]);
      const double l = norm(B[k]);
      if (!(l > 1e-12 * norm(B[p]) * norm(B[q]))) throw std::invalid_argument("cell: the periodic lattice vectors are parallel, so the cell is singular");
      B[k] = times(B[k], 1 / l);
    }
  }
}

inline std::string written(double v) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, v, std::chars_format::general, 3).ptr);
}

// Bytes that this process can have
inline double memory() {
  static const double bytes = [] {
    const double there = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
    rlimit most;
    const bool limited = getrlimit(RLIMIT_AS, &most) == 0 && most.rlim_cur != RLIM_INFINITY;
    return std::min(there > 0 ? there : HUGE_VAL, limited ? double(most.rlim_cur) : HUGE_VAL);
  }();
  return bytes;
}

// How far from the origin an atom may be, in cutoffs. On the way to a distance float64 rounds some ten times, by 1e-16 each time, coordinates or the lattice
// vectors that they are made up of; these are larger in a skewed cell, by up to |a||b||c| / volume, so there less is allowed. All in all that stays below
// 1e-14 of the largest, here 5e-7 of the cutoff: this fits into the 1e-6 of the cutoff that near.hpp decides in float64 (`off`; float32 takes less than
// half) and that bins reach farther, so that the list is what brute force finds.
constexpr double FARTHEST = 5e7;
constexpr int64_t PER_BIN = 8;      // atoms in a bin: fewer are tried in vain where bins are smaller, but more bins take longer to go through
constexpr int PAIR_CHUNKS = 16;
constexpr int64_t CHUNK_SITES = 512;

struct Structure {
  int64_t n;
  const double *x, *cell;
  const int *pbc;
};

struct ChunkRooms {
  Room numbers, start, found_site, found_image, candidates;
};

inline double bins_along(double width, double size) { return std::max(1.0, std::min(std::floor(width / size), 1e6)); }

// Bins for a structure, its sites in their order; returns about how many pairs it has. Memory: rooms for what lasts as long as the search, `site` for
// what is needed to fill the list.
inline double make_bins(const Structure &s, double cutoff, ChunkRooms &rooms, Site *site, Bins &out) {
  const int64_t n = s.n;
  const double *x = s.x;
  const int *pbc = s.pbc;
  Vec B[3], R[3];  // basis; reciprocal: fractional coordinate k = R[k] . x
  basis(s.cell, pbc, B);
  const double volume = dot(B[0], cross(B[1], B[2])), upright = std::fabs(volume) / (norm(B[0]) * norm(B[1]) * norm(B[2]));
  if (!(upright > 1e-12)) throw std::invalid_argument("cell: the lattice vectors lie in a plane, so the cell is singular");
  const double farthest = FARTHEST * cutoff * upright;
  auto refuse = [&](const std::string &what, double length, const char *is, const char *hint) {
    throw std::invalid_argument(what + " is " + written(length) + is + ", where float64 no longer tells distances: at most " + written(farthest) +
                                " can be used in this cell with a cutoff of " + written(cutoff) + " angstrom" + hint);
  };
  int64_t far = 0;
  while (far < 3 * n && std::fabs(x[far]) <= farthest) far++;
  if (far < 3 * n) refuse("positions: atom " + std::to_string(far / 3), std::fabs(x[far]), " angstrom from the origin", ": move the atoms nearer to the origin");
  for (int k = 0; k < 3; k++)
    if (pbc[k] && norm(B[k]) > farthest) refuse("cell: lattice vector " + std::to_string(k), norm(B[k]), " angstrom long", "; is the unit right?");
  for (int k = 0; k < 3; k++) {
    R[k] = times(cross(B[(k + 1) % 3], B[(k + 2) % 3]), 1 / volume);
    for (int a = 0; a < 3; a++) out.basis[3 * k + a] = B[k][a], out.shift_of[3 * k + a] = pbc[k] ? B[k][a] : 0;
  }

  // Periodic directions: fractions in [0, 1], `wrap` says by how many cells an atom was moved. Open ones: measured from the lowest atom.
  double *y[3], *fraction[3];
  double *numbers = rooms.numbers.hold<double>(6 * (n + SITES_PAST) + n);
  for (int k = 0; k < 3; k++) y[k] = numbers + k * (n + SITES_PAST), fraction[k] = numbers + (3 + k) * (n + SITES_PAST);
  int64_t *bin = (int64_t *)(numbers + 6 * (n + SITES_PAST));
  double low[3], span[3], width[3];  // width: between opposite faces
  for (int k = 0; k < 3; k++) {
    const double r0 = R[k][0], r1 = R[k][1], r2 = R[k][2];
    double *f = fraction[k], l = 0, h = 0;
    for (int64_t i = 0; i < n; i++) {
      f[i] = r0 * x[3 * i] + r1 * x[3 * i + 1] + r2 * x[3 * i + 2];
      l = i ? std::min(l, f[i]) : f[i], h = i ? std::max(h, f[i]) : f[i];
    }
    if (pbc[k]) {
      if (std::fabs(l) > 1e6 || std::fabs(h) > 1e6) throw std::invalid_argument("positions: an atom is more than a million cells away from the origin; wrap the positions");
      low[k] = 0, span[k] = 1;
    } else {
      low[k] = l, span[k] = std::max(h - l, 1e-3 * cutoff);
    }
    width[k] = span[k] / norm(R[k]);
  }

  // Bins of a cutoff, half of that along the last direction; smaller where atoms are dense; larger where they are spread thin, so that memory stays
  // proportional to the atoms.
  int64_t *bins = out.count;
  for (int k = 0; k < 3; k++) bins[k] = int64_t(bins_along(width[k], k < 2 ? cutoff : 0.5 * cutoff));
  while (bins[0] * bins[1] * bins[2] > 4 * n + 64) {
    int64_t &b = *std::max_element(bins, bins + 3);
    b = (b + 1) / 2;
  }
  while (bins[0] * bins[1] * bins[2] * PER_BIN < n) {
    int widest = 0;
    for (int k = 1; k < 3; k++)
      if (width[k] * bins[widest] > width[widest] * bins[k]) widest = k;
    if (width[widest] < 0.5 * cutoff * bins[widest]) break;
    bins[widest] *= 2;
  }
  double images = 1;
  int used = 0;
  for (int k = 0; k < 3; k++) {
    const double m = std::ceil(cutoff * (1 + 1e-6) * double(bins[k]) / width[k]);
    images *= pbc[k] ? 2 * m / double(bins[k]) + 1 : 1;
    if (!(m < 1e5) && pbc[k]) images = HUGE_VAL;
    out.reach[k] = images <= 1e7 ? int32_t(pbc[k] ? m : std::min<double>(m, double(bins[k] - 1))) : 0;
    out.periodic[k] = pbc[k] != 0;
    out.most[k] = pbc[k] ? int32_t((out.reach[k] + bins[k] - 1) / bins[k]) : 0;
    out.at[k] = used;
    out.bits[k] = 0;
    while ((1 << out.bits[k]) < 2 * out.most[k] + 1) out.bits[k]++;
    used += out.bits[k];
  }
  if (!(images <= 1e7) || used > 31) throw std::invalid_argument("cell: so thin against the cutoff that more than ten million images are within reach; is the unit right?");
  // As many neighbours as in a gas of this density; along open directions no more than all there are.
  double pairs = 4 / 3. * M_PI / std::fabs(volume) * double(n) * double(n);
  for (int k = 0; k < 3; k++) pairs *= pbc[k] ? cutoff : std::min(cutoff / span[k], 0.62);  // 4/3 pi 0.62^3 = 1

  const int64_t n_bins = bins[0] * bins[1] * bins[2];
  int64_t *start = rooms.start.hold<int64_t>(n_bins + 2);
  std::fill_n(start, n_bins + 2, 0);
  start++;  // counted one further on, so that start[b] is where the next site of bin b goes while they are placed, and where b begins in the end
  double scale[3];
  for (int k = 0; k < 3; k++) scale[k] = double(bins[k]) / span[k];
  for (int64_t i = 0; i < n; i++) {
    int64_t b = 0;
    for (int k = 0; k < 3; k++) {
      double f = fraction[k][i];
      if (pbc[k]) f -= std::floor(f);
      else f -= low[k];
      b = b * bins[k] + std::min(bins[k] - 1, std::max<int64_t>(0, int64_t(f * scale[k])));
    }
    bin[i] = b;
    start[b]++;
  }
  for (int64_t b = 0, at = 0; b < n_bins; b++) {
    const int64_t here = start[b];
    start[b] = at, at += here;
  }
  for (int64_t i = 0; i < n; i++) {
    const int64_t q = start[bin[i]]++;
    Site &to = site[q];
    double w[3];
    for (int k = 0; k < 3; k++) to.x[k] = x[3 * i + k], w[k] = pbc[k] ? std::floor(fraction[k][i]) : 0, to.wrap[k] = int32_t(w[k]);
    to.atom = int32_t(i);
    for (int a = 0; a < 3; a++) y[a][q] = x[3 * i + a] - (w[0] * B[0][a] + w[1] * B[1][a] + w[2] * B[2][a]);
  }
  for (int a = 0; a < 3; a++) std::fill_n(y[a] + n, SITES_PAST, 0.0);  // read with the last vector, and passed over
  out.x = y[0], out.y = y[1], out.z = y[2], out.site = site, out.cutoff = cutoff;
  out.start = start - 1;  // one further on they have all moved to where the next bin begins
  return pairs;
}

// Searches bins [from, to) of a structure; what it finds goes behind the `used` there are.
inline void search_bins(const Kernels &kernels, const Bins &bins, int64_t from, int64_t to, int chunk, ChunkRooms &rooms, int64_t &used, Row *rows) {
  Search w{};
  w.bins = &bins, w.bin = from, w.end = to, w.chunk = chunk, w.rows = rows;
  int64_t room = int64_t(std::min(rooms.found_site.size(), rooms.found_image.size()) / 4), candidates = std::max<int64_t>(1024, int64_t(rooms.candidates.size() / 20));
  for (w.used = used;;) {
    w.found = {rooms.found_site.keep<int32_t>(room), rooms.found_image.keep<uint32_t>(room)};
    w.room = room;
    w.scratch = rooms.candidates.hold<float>(5 * candidates), w.candidates_room = candidates;
    if (kernels.search(w)) break;
    if (w.want_candidates) candidates = w.want_candidates;
    else room = 2 * room + 4 * candidates;
    if (candidates > int64_t(1) << 30) throw std::bad_alloc();
  }
  used = w.used;
}

// What a search needs and the next one needs again
class Searching {
 public:
  // The rows of all structures, which lie end to end; first has an entry more than there are atoms. bytes: of a pair in the list.
  void search(const Kernels &kernels, int64_t n_structures, const Structure *structures, const int64_t *begin, double cutoff, int threads, int bytes, int64_t *first) {
    const int64_t n = begin[n_structures];
    site_ = sites_.hold<Site>(n), row_ = rows_.hold<Row>(n), bins_ = bin_sets_.hold<Bins>(n_structures);
    chunks_ = int(std::max<int64_t>(1, std::min<int64_t>(PAIR_CHUNKS, n / CHUNK_SITES)));
    threads_ = threads;
    std::fill_n(used_, PAIR_CHUNKS, 0);
    std::atomic<int64_t> expected{0};
    auto bin = [&](int64_t k, ChunkRooms &rooms) {
      const int64_t pairs = expected += int64_t(std::min(make_bins(structures[k], cutoff, rooms, site_ + begin[k], bins_[k]), 1e15));
      if (double(pairs) * bytes > memory())
        throw std::invalid_argument("cutoff: some " + written(double(pairs)) + " pairs within " + written(cutoff) + " angstrom, at " + std::to_string(bytes) +
                                    " bytes each more than the " + written(1e-9 * memory()) + " GB of memory; is the unit of the cutoff, the cell or the positions right?");
    };
    if (n_structures == 1) {
      bin(0, chunk_[0]);
      const Bins &bins = bins_[0];
      const int64_t n_bins = bins.count[0] * bins.count[1] * bins.count[2];
      each_chunk([&](int c) {
        auto bound = [&](int k) { return k == chunks_ ? n_bins : std::lower_bound(bins.start, bins.start + n_bins, n * k / chunks_) - bins.start; };
        search_bins(kernels, bins, bound(c), bound(c + 1), c, chunk_[c], used_[c], row_);
      });
    } else {
      each_chunk([&](int c) {
        for (int64_t k = n_structures * c / chunks_; k < n_structures * (c + 1) / chunks_; k++) {
          try {
            bin(k, chunk_[c]);
          } catch (const std::invalid_argument &e) {
            throw std::invalid_argument("structure " + std::to_string(k) + ": " + e.what());
          }
          search_bins(kernels, bins_[k], 0, bins_[k].count[0] * bins_[k].count[1] * bins_[k].count[2], c, chunk_[c], used_[c], row_ + begin[k]);
        }
      });
    }
    for (int c = 0; c < chunks_; c++) found_[c] = {chunk_[c].found_site.get<int32_t>(), chunk_[c].found_image.get<uint32_t>()};
    first[0] = 0;
    for (int64_t i = 0; i < n; i++) first[i + 1] = first[i] + row_[i].n;
  }

  // d, r and shift: NULL where they are not wanted
  void fill(const Kernels &kernels, int64_t n_structures, const int64_t *begin, const int64_t *first, int32_t *j, int32_t *shift, double *d, double *r) {
    each_chunk([&](int c) {
      const int64_t n = begin[n_structures], from = n * c / chunks_, to = n * (c + 1) / chunks_;
      for (int64_t k = std::upper_bound(begin, begin + n_structures + 1, from) - begin - 1; k < n_structures && begin[k] < to; k++) {
        const int64_t b = begin[k];
        kernels.fill({&bins_[k], row_ + b, found_, first + b, std::max<int64_t>(from - b, 0), std::min(to, begin[k + 1]) - b, int32_t(b), j, shift, d, r});
      }
    });
  }

  // Gives back what would be much to keep.
  void trim() {
    size_t held = sites_.size() + rows_.size() + bin_sets_.size();
    for (ChunkRooms &c : chunk_) held += c.numbers.size() + c.start.size() + c.found_site.size() + c.found_image.size() + c.candidates.size();
    if (held <= KEPT) return;
    sites_.release(), rows_.release(), bin_sets_.release();
    for (ChunkRooms &c : chunk_) c.numbers.release(), c.start.release(), c.found_site.release(), c.found_image.release(), c.candidates.release();
  }

 private:
  static constexpr size_t KEPT = size_t(64) << 20;
  template <class F> void each_chunk(const F &work) {  // pieces of the pool must not throw
    std::exception_ptr wrong[PAIR_CHUNKS];
    Pool::run(chunks_, threads_, [&](int c) {
      try {
        work(c);
      } catch (...) {
        wrong[c] = std::current_exception();
      }
    });
    for (const std::exception_ptr &e : wrong)
      if (e) std::rethrow_exception(e);
  }
  ChunkRooms chunk_[PAIR_CHUNKS];
  Room sites_, rows_, bin_sets_;
  Site *site_;
  Row *row_;
  Bins *bins_;
  Found found_[PAIR_CHUNKS];
  int64_t used_[PAIR_CHUNKS];
  int chunks_, threads_;
};

}  // namespace pairs_detail

// A list and its memory. Lists that are done with leave their memory to the next.
struct PairList {
  int64_t n = 0, m = 0;
  Room first, j, shift, d, r;
  bool has_shift = false, has_d = false, has_r = false;
  size_t size() const { return first.size() + j.size() + shift.size() + d.size() + r.size(); }
};

inline void find_pairs(const Kernels &kernels, int64_t n_structures, const pairs_detail::Structure *structures, const int64_t *begin, double cutoff, int threads, PairList &out) {
  thread_local pairs_detail::Searching searching;
  struct Trim {
    ~Trim() { searching.trim(); }
  } trim;
  out.n = begin[n_structures];
  int64_t *first = out.first.hold<int64_t>(out.n + 1);
  searching.search(kernels, n_structures, structures, begin, cutoff, threads, 12 + 12 * out.has_shift + 24 * out.has_d + 8 * out.has_r, first);
  out.m = first[out.n];
  // Memory that is far more than this list needs is for another.
  auto room = [&](Room &r, bool wanted, int64_t numbers, auto type) {
    if (!wanted || r.size() > 2 * size_t(numbers) * sizeof type + (1 << 16)) r.release();
    return wanted ? r.template hold<decltype(type)>(std::max<int64_t>(1, numbers)) : nullptr;
  };
  int32_t *j = room(out.j, true, out.m, int32_t()), *shift = room(out.shift, out.has_shift, 3 * out.m, int32_t());
  double *d = room(out.d, out.has_d, 3 * out.m, double()), *r = room(out.r, out.has_r, out.m, double());
  searching.fill(kernels, n_structures, begin, first, j, shift, d, r);
}

}  // namespace fastmd
