// isa.hpp: all that the files in isa/ say beside their instruction set's name. Each becomes a library of its own, because two builds of one
// template in one shared object would be merged by the linker.
#pragma once
#include <algorithm>
#include <type_traits>
#include "chain.hpp"
#include "near.hpp"
#include "probe.hpp"

#define FASTMD_STRING2(x) #x
#define FASTMD_STRING(x) FASTMD_STRING2(x)
extern "C" __attribute__((visibility("default"))) const fastmd::Kernels *fastmd_kernels(void) {
  static const fastmd::Kernels table = {FASTMD_STRING(FASTMD_ISA), {fastmd::workspace<double>, fastmd::run<double>}, {fastmd::workspace<float>, fastmd::run<float>}, fastmd::network_alone<double>, fastmd::search, fastmd::fill};
  return &table;
}
