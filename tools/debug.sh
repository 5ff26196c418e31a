#!/usr/bin/env bash
# Build the package for finding faults, in a tree of its own, and run tests there.
#
#   tools/debug.sh sanitize PYTHON JOBS [TEST …]   AddressSanitizer
#   tools/debug.sh trace PYTHON JOBS [TEST …]      line tracing, coverage of the .pyx
#
# The trees are build/debug-sanitize and build/debug-trace; they are kept, so
# the second build is short. The tests are tests/engine where no other are named.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
python=$2
jobs=$3
shift 3
case "$python" in /*) ;; *) python=$PWD/$python ;; esac
tests=("$@")
if [ ${#tests[@]} = 0 ]; then
    if [ -d tests/engine ]; then tests=(tests/engine); else tests=(tests); fi
fi

tree=build/debug-$kind
mkdir -p "$tree"
# Sources as they are now, with their times; what was removed goes here too.
rm -rf "$tree/tests"
find "$tree/src" \( -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete 2> /dev/null || true
tar -c --exclude='*.so' --exclude='__pycache__' --exclude='src/holdfast/*.c' \
    src tests setup.py pyproject.toml README.md LICENSE | tar -x -C "$tree"
cd "$tree"

case "$kind" in
    sanitize)
        export HOLDFAST_SANITIZE=1
        "$python" setup.py --quiet build_ext --inplace -j "$jobs"
        # The interpreter itself is not built with it: its library has to be
        # the first that is loaded, and what Python never frees is no leak of ours.
        export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:${ASAN_OPTIONS:-}
        export PYTHONMALLOC=malloc PYTHONPATH=src HOLDFAST_DEBUG_BUILD=sanitize
        LD_PRELOAD="$(${CC:-gcc} -print-file-name=libasan.so)" \
            "$python" -m pytest -p no:xdist -p no:cacheprovider --timeout=600 "${tests[@]}"
        ;;
    trace)
        export HOLDFAST_TRACE=1
        "$python" setup.py --quiet build_ext --inplace -j "$jobs"
        export PYTHONPATH=src HOLDFAST_DEBUG_BUILD=trace COVERAGE_CORE=ctrace
        "$python" -m coverage run -m pytest -p no:xdist -p no:cacheprovider --timeout=600 "${tests[@]}"
        "$python" -m coverage report --skip-empty
        ;;
    *)
        echo "unknown kind of debug build: $kind" >&2
        exit 2
        ;;
esac
