// plugin.cpp: what LAMMPS's `plugin load` calls. Makes sure that this file, LAMMPS and libfastmd fit together, then hands over the pair style.
// `fastmd lammps build` compiles it, with the version of LAMMPS whose headers it found in FASTMD_LAMMPS_NUMBER and FASTMD_LAMMPS_DATE.
#include <dlfcn.h>
#include "pair_fastmd.hpp"

namespace {

// LAMMPS's lammpsplugin.h, which does not come with its wheel: the struct and the function that takes it.
struct Plugin {
  const char *version, *style, *name, *info, *author;
  union {
    void *(*one)(void *);                 // of a pair style: from the LAMMPS instance
    void *(*three)(void *, int, char **); // of fixes, computes, ...
  } create;
  void *handle;
};
using Register = void (*)(Plugin *, void *lammps);

void *create(void *lammps) { return static_cast<LAMMPS_NS::Pair *>(new PairFastmd(static_cast<LAMMPS_NS::LAMMPS *>(lammps))); }

template <class F> F find(const char *name) { return reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name)); }

// What does not fit, or nothing. Asked in plain C: another LAMMPS has its classes laid out otherwise.
std::string misfit(void *lammps) {
  const std::string again = "; build the plugin anew: fastmd lammps build (with --lammps-include for a LAMMPS of your own)";
  if (fastmd_abi() != FASTMD_ABI) return "it was built for version " + std::to_string(FASTMD_ABI) + " of libfastmd, there is " + std::to_string(fastmd_abi()) + again;
  auto version = find<int (*)(void *)>("lammps_version");
  if (version && version(lammps) != FASTMD_LAMMPS_NUMBER)
    return "it was built for LAMMPS " + std::to_string(FASTMD_LAMMPS_NUMBER) + " (" FASTMD_LAMMPS_DATE "), this is " + std::to_string(version(lammps)) + again;
  auto setting = find<int (*)(void *, const char *)>("lammps_extract_setting");
  if (setting && (setting(lammps, "tagint") != int(sizeof(LAMMPS_NS::tagint)) || setting(lammps, "bigint") != int(sizeof(LAMMPS_NS::bigint))))
    return "it was built for other sizes of atom numbers (LAMMPS_SMALLBIG, LAMMPS_BIGBIG) than this LAMMPS" + again + " and --define LAMMPS_BIGBIG or what your LAMMPS was built with";
  auto mpi = find<int (*)()>("lammps_config_has_mpi_support");
  if (mpi && mpi() > 1 && mpi() != int(sizeof(MPI_Comm))) return "it was built with the mpi.h of another MPI than this LAMMPS" + again + " and the right --mpi-include";
  return "";
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lammps, void *handle, void *register_style) {
  const std::string what = misfit(lammps);
  if (!what.empty()) {
    const std::string text = "the fastmd plugin does not fit: " + what;
    auto error = find<void (*)(void *, int, const char *)>("lammps_error");
    if (error) error(lammps, 2, text.c_str());  // on all ranks
    else std::fprintf(stderr, "ERROR: %s\n", text.c_str());
    return;
  }
  for (const char *name : {"fastmd", "nn/manybody"}) {  // the second is what the thesis called it
    Plugin plugin{FASTMD_LAMMPS_DATE, "pair", name, "neural-network potentials of fastmd", "the fastmd developers", {create}, handle};
    reinterpret_cast<Register>(register_style)(&plugin, lammps);
  }
}
