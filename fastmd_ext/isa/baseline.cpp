#define FASTMD_ISA baseline
#include "../core/isa.hpp"
