#!/usr/bin/env bash
# Builds the core with AddressSanitizer and UndefinedBehaviorSanitizer under build/sanitize and runs the tests on it; what the sanitizers say makes it fail.
# Then some of them once more to see what the core has allocated and nobody can reach any more (Python and others leak at exit; only our own counts).
#   PYTHON=.venv/bin/python tests/sanitize.sh [-k WHICH and other options of pytest]      that Python needs setuptools and cython
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD python=$(command -v "${PYTHON:-python3}")
case $python in /*) ;; *) python=$root/$python ;; esac
rm -rf build/sanitize
FASTMD_SANITIZE=1 "$python" setup.py -q build --build-base build/sanitize --build-lib build/sanitize/lib
cd build/sanitize/lib
# first in sys.path here, in children of the tests and in children that work elsewhere
export PYTHONPATH=$PWD
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)"
# ASan writes into files and goes on. UBSan cannot write into files beside ASan: it ends the process and its words must not be captured by pytest.
export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=0:halt_on_error=0:log_path=$PWD/../report
"$python" -c "import fastmd._core as c; assert c.__file__.startswith('$PWD'), c.__file__"
grep -q __asan_report fastmd/lib/libfastmd_*.so || { echo "sanitize: the core was built without the sanitizers"; exit 1; }
run() { "$python" -m pytest -q --capture=sys -p no:cacheprovider -c "$root/pyproject.toml" --rootdir "$root" -m "not slow and not plain_core" "$@"; }
failed=
run "$root/tests" "$@" || failed=yes
# one by one: at the end of a long run Python may still hold an object of ours that it never frees, which looks like a leak
[ $# -gt 0 ] || for part in pairs nnp_file potential; do
  ASAN_OPTIONS=detect_leaks=1:exitcode=0:log_path=$PWD/../leaks run "$root/tests/test_$part.py" || failed=yes
done
cd ..
if compgen -G 'report*' >/dev/null; then head -n 40 report*; echo "sanitize: FAILED: see build/sanitize/report*"; exit 1; fi
if grep -q libfastmd leaks* 2>/dev/null; then grep -B 8 -A 8 libfastmd leaks* | head -n 60; echo "sanitize: FAILED: leaks, see build/sanitize/leaks*"; exit 1; fi
[ -z "$failed" ] || { echo "sanitize: FAILED: see the tests above"; exit 1; }
echo "sanitize: no complaint"
