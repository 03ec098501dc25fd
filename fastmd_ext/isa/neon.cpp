#define FASTMD_ISA neon
#include "../core/isa.hpp"
