"""Builds libfastmd (plain C++, one library for each instruction set) and the Cython face over it. All else is in pyproject.toml."""

import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CORE = Path("fastmd_ext/core")
HEADERS = sorted(str(p) for p in CORE.glob("*.h*"))
EXPORTS = str(CORE / "exports.map")
# Single flags in place of -ffast-math, which would break NaN checks and flush subnormals for the whole process.
FLAGS = ["-std=c++17", "-O3", "-fno-wrapv", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-fno-gnu-unique", "-Wall", "-Wextra"]
# FASTMD_SANITIZE=1: a build that reports wrong addresses and goes on, and stops at an undefined operation; see tests/sanitize.sh.
SANITIZE = []
if os.environ.get("FASTMD_SANITIZE"):
    SANITIZE = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined,float-cast-overflow",
                "-fsanitize-recover=address", "-fno-sanitize-recover=undefined,float-cast-overflow"]
if platform.machine() in ("aarch64", "arm64"):
    ISAS = {"neon": []}
else:
    ISAS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    ISAS["avx2"] = ["-mavx2", "-mfma"]
    # GCC 12 takes the "undefined" register of its own intrinsics for an uninitialised variable.
    ISAS["avx512"] = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512", "-Wno-maybe-uninitialized"]


class Library(Extension):
    """A plain shared library, libfastmd*.so: no Python in it, no Python version in its name."""


class Build(build_ext):
    def run(self):  # the header travels with the library, for C programs and MD codes that embed it; so do the sources of the plugin for LAMMPS
        lib = Path(self.get_ext_fullpath("fastmd.lib.libfastmd")).parent
        include = lib.with_name("include")
        for folder in (lib, include / "lammps"):
            folder.mkdir(parents=True, exist_ok=True)
        for source in (CORE / "fastmd.h", *sorted(Path("fastmd_ext/lammps").glob("*.?pp"))):
            shutil.copyfile(source, (include if source.parent == CORE else include / "lammps") / source.name)
        super().run()

    def get_ext_filename(self, fullname):
        if fullname.split(".")[-1].startswith("libfastmd"):
            return fullname.replace(".", "/") + ".so"
        return super().get_ext_filename(fullname)

    def get_export_symbols(self, ext):
        return [] if isinstance(ext, Library) else super().get_export_symbols(ext)

    def build_extensions(self):  # the instruction sets side by side, then what is linked with libfastmd
        libraries = [ext for ext in self.extensions if isinstance(ext, Library)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self.build_extension, libraries))
        for ext in self.extensions:
            if not isinstance(ext, Library):
                self.build_extension(ext)

    def build_extension(self, ext):
        if not isinstance(ext, Library):
            ext.library_dirs.append(str(Path(self.get_ext_fullpath("fastmd.lib.libfastmd")).parent))
        super().build_extension(ext)


def library(name, source, flags=(), libraries=()):
    return Library(f"fastmd.lib.{name}", [source], language="c++", depends=[*HEADERS, EXPORTS], include_dirs=[str(CORE)],
                   extra_compile_args=FLAGS + list(flags) + SANITIZE, extra_link_args=[f"-Wl,--version-script={EXPORTS}", *SANITIZE], libraries=list(libraries))


extensions = [library(f"libfastmd_{isa}", f"fastmd_ext/isa/{isa}.cpp", flags) for isa, flags in ISAS.items()]
# Without fused multiply-adds: an atom on the face of a bin is then in the same bin, and a row of the list in the same order, on every machine.
extensions.append(library("libfastmd", str(CORE / "libfastmd.cpp"), ["-ffp-contract=off"], ["dl", "pthread"]))
extensions.append(Extension("fastmd._core", ["fastmd_ext/_core.pyx"], depends=HEADERS, include_dirs=[str(CORE)],
                            extra_compile_args=SANITIZE, extra_link_args=SANITIZE, libraries=["fastmd"], runtime_library_dirs=["$ORIGIN/lib"]))

setup(ext_modules=extensions, cmdclass={"build_ext": Build})
