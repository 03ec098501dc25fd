#define FASTMD_ISA avx512
#include "../core/isa.hpp"
