// potential_file.hpp: a potential file, or a folder of RuNNer's or n2p2's, read by rank 0 and sent to all.
#pragma once
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include "comm.h"
#include "error.h"
#include "pair.h"

extern char **environ;

namespace {

struct Text {  // of a file, or why there is none
  bool good;
  std::string text;
};

inline Text read_file(const std::string &path) {
  FILE *f = std::fopen(path.c_str(), "rb");
  if (!f) return {false, path + ": cannot be opened: " + std::strerror(errno)};
  constexpr size_t MOST = size_t(1) << 30;  // /dev/zero has no end
  std::string text;
  std::vector<char> block(1 << 16);
  for (size_t n; text.size() <= MOST && (n = std::fread(block.data(), 1, block.size(), f));) text.append(block.data(), n);
  const int bad = std::ferror(f) ? errno : 0;
  std::fclose(f);
  if (bad) return {false, path + ": cannot be read: " + std::strerror(bad)};  // a folder, say
  if (text.size() > MOST) return {false, path + ": larger than 1 GiB, no potential file"};
  return {true, std::move(text)};
}

inline Text read_potential(const std::string &path) {
  const std::string found = LAMMPS_NS::utils::get_potential_file_path(path);  // looks where LAMMPS_POTENTIALS says, too
  return read_file(found.empty() ? path : found);
}

// `fastmd convert` of the Python that built this plugin, in a process of its own: the one converter there is.
inline Text convert(const std::string &folder, const std::vector<std::string> &options) {
  const std::string by_hand = "; convert it with `fastmd convert " + folder + " potential.nnp` and name that file in pair_coeff";
  const char *tmp = std::getenv("TMPDIR");
  std::string place = std::string(tmp && *tmp ? tmp : "/tmp") + "/fastmd-XXXXXX";
  if (!mkdtemp(place.data())) return {false, "no temporary folder could be made to convert " + folder + " in" + by_hand};
  const std::string target = place + "/potential.nnp", log = place + "/log";

  std::vector<std::string> words = {FASTMD_PYTHON, "-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from fastmd.cli import main; main(prog_name='fastmd')", FASTMD_PACKAGE, "convert"};
  words.insert(words.end(), options.begin(), options.end());
  words.insert(words.end(), {"--", folder, target});
  std::vector<char *> argv;
  for (std::string &w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t to_log;
  posix_spawn_file_actions_init(&to_log);
  posix_spawn_file_actions_addopen(&to_log, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&to_log, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&to_log, 1, 2);
  pid_t child;
  int status = 0;
  const bool ran = posix_spawn(&child, argv[0], &to_log, nullptr, argv.data(), environ) == 0 && waitpid(child, &status, 0) == child;
  posix_spawn_file_actions_destroy(&to_log);

  Text result;
  if (ran && WIFEXITED(status) && WEXITSTATUS(status) == 0) result = read_file(target);
  else result = {false, folder + ": " + (ran ? "the converter says: " + read_file(log).text : "the Python that built this plugin cannot be run, " FASTMD_PYTHON) + by_hand};
  for (const std::string &name : {target, log}) unlink(name.c_str());
  rmdir(place.c_str());
  return result;
}

// What rank 0 has, on all.
inline Text broadcast(Text mine, MPI_Comm world) {
  int head[2] = {mine.good, int(mine.text.size())};
  MPI_Bcast(head, 2, MPI_INT, 0, world);
  mine.good = head[0];
  mine.text.resize(head[1]);
  MPI_Bcast(mine.text.data(), head[1], MPI_CHAR, 0, world);
  return mine;
}

}  // namespace
