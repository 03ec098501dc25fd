// parallel.hpp: a small pool of threads above the kernels. Work comes as a fixed number of pieces that does not depend on the threads;
// which thread takes which piece does not matter, because pieces share nothing. No OpenMP: two of its runtimes in one process (torch
// brings its own) give stalls.
#pragma once
#include <pthread.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace fastmd {

class Pool {
 public:
  // piece(k) for each k in [0, pieces), on up to `threads` threads, this one among them. piece must not throw.
  // When another caller has the pool, or after a fork, this thread does it alone.
  template <class F> static void run(int pieces, int threads, const F &piece) {
    run_piece(pieces, threads, {&piece, [](const void *f, int k) { (*(const F *)f)(k); }});
  }

 private:
  struct Piece {  // any function object, by reference
    const void *object;
    void (*call)(const void *, int);
    void operator()(int k) const { call(object, k); }
  };
  static void run_piece(int pieces, int threads, const Piece &piece) {
    Pool *p = threads > 1 && pieces > 1 ? current() : nullptr;
    std::unique_lock<std::mutex> mine;
    if (p) mine = std::unique_lock<std::mutex>(p->busy_, std::try_to_lock);
    if (!p || !mine.owns_lock() || !p->hire(std::min(threads, pieces) - 1)) {
      for (int k = 0; k < pieces; k++) piece(k);
      return;
    }
    p->work(pieces, std::min(threads, pieces) - 1, piece);
  }

  std::mutex busy_, lock_;
  std::condition_variable start_, done_;
  std::vector<std::thread> helpers_;
  const Piece *piece_ = nullptr;
  std::atomic<int> next_{0}, running_{0};  // helpers: number below wanted_ may join, running_ have
  int pieces_ = 0, wanted_ = 0;
  std::atomic<unsigned long> round_{0};

  // Sleeping and being woken costs some 50 microseconds, as much as ten atoms: look around for as long before going to sleep. In a loop over
  // time steps the next round comes within that.
  template <class F> static void look_out(F happened) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
    while (!happened() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  }

  // One pool for each process: a forked child has none of its parent's threads, so it makes its own. Never destroyed: the threads may outlive main.
  static Pool *current() {
    static std::atomic<Pool *> pool{nullptr};
    static const int once = pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr); });
    (void)once;
    Pool *p = pool.load();
    if (p) return p;
    Pool *fresh = new Pool;
    if (pool.compare_exchange_strong(p, fresh)) return fresh;
    delete fresh;
    return p;
  }
  bool hire(int n) {
    try {
      while (int(helpers_.size()) < n) {
        const int number = int(helpers_.size());
        helpers_.emplace_back([this, number] { help(number); });
        helpers_.back().detach();
      }
    } catch (const std::system_error &) {  // no more threads to be had
      return false;
    }
    return true;
  }
  void work(int pieces, int helpers, const Piece &piece) {
    {
      std::lock_guard<std::mutex> g(lock_);
      piece_ = &piece, pieces_ = pieces, wanted_ = helpers, round_++;
      next_.store(0);
    }
    start_.notify_all();
    take();
    {
      std::lock_guard<std::mutex> g(lock_);
      wanted_ = 0;  // nothing is left to take: who has not come yet, on a busy machine, need not be waited for
    }
    look_out([this] { return running_ == 0; });
    std::unique_lock<std::mutex> g(lock_);
    done_.wait(g, [this] { return running_ == 0; });
  }
  void take() {
    for (int k; (k = next_.fetch_add(1)) < pieces_;) (*piece_)(k);
  }
  void help(int number) {
    for (unsigned long seen = 0;;) {
      look_out([&] { return round_ != seen; });
      std::unique_lock<std::mutex> g(lock_);
      start_.wait(g, [&] { return round_ != seen && number < wanted_; });
      seen = round_;
      running_++;
      g.unlock();
      take();
      g.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }
};

}  // namespace fastmd
