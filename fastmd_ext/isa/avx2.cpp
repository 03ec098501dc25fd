#define FASTMD_ISA avx2
#include "../core/isa.hpp"
