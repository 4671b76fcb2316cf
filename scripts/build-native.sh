#!/usr/bin/env bash
# The steps of native/pom.xml: build [TARGET] | test | format | neon. GRAFT_DNNL_ROOT is the folder of oneDNN that
# holds include/ and the shared library.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$root/native/target

# configure_and_build FOLDER TARGET CMAKE_OPTION…
configure_and_build() {
    local folder=$1 goal=$2
    shift 2
    # why: the jar of oneDNN has only the versioned name, and linkers look for the plain one.
    ln -sf libdnnl.so.3 "$GRAFT_DNNL_ROOT/libdnnl.so"
    local cache=
    if command -v ccache >/dev/null; then
        # Clones in other folders share one cache.
        export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_DEPEND=1
        cache=ccache
    fi
    local cached
    cached=$(sed -n 's/^CMAKE_CACHEFILE_DIR:INTERNAL=//p' "$folder/CMakeCache.txt" 2>/dev/null || true)
    if [ -n "$cached" ] && ! [ "$cached" -ef "$folder" ]; then
        echo "build-native.sh: $folder was configured as $cached; it is made anew" >&2
        rm -rf "$folder"
    fi
    cmake -S "$root/native" -B "$folder" -G Ninja -DGRAFT_DNNL_ROOT="$GRAFT_DNNL_ROOT" \
        -DGRAFT_CUDA="${GRAFT_CUDA:-ON}" -DCMAKE_C_COMPILER_LAUNCHER="$cache" -DCMAKE_CXX_COMPILER_LAUNCHER="$cache" \
        "$@" >"$folder.log" 2>&1 ||
        { cat "$folder.log" >&2; exit 1; }
    cmake --build "$folder" --target "$goal"
}

mkdir -p "$target"
case "${1:-}" in
build)
    configure_and_build "$target/build" "${2:-all}" -DCMAKE_BUILD_TYPE=Release
    ;;
test)
    said=$target/tests.txt
    ctest --test-dir "$target/build" -j"$(nproc)" --output-on-failure --no-tests=error | tee "$said"
    # why: ctest names what was skipped, and keeps the reason to itself.
    sed -nE 's/^\t *[0-9]+ - (.*) \(Skipped\)$/\1/p' "$said" | while read -r name; do
        echo "skipped: $name: $(awk -v name="$name" '$2 == "Testing:" { here = $3 == name; output = 0 }
            /<end of output>/ { here = 0 } here && output; /^-+$/ { output = here }' "$target/build/Testing/Temporary/LastTest.log")"
    done
    ;;
format)
    find "$root/native/include" "$root/native/src" "$root/native/tests" "$root/native/examples" \
        "$root/benchmarks/native" \
        \( -name '*.h' -o -name '*.c' -o -name '*.cpp' -o -name '*.cu' \) -print0 |
        xargs -0 clang-format --dry-run --Werror
    ;;
neon)
    compiler=aarch64-linux-gnu-g++
    if ! command -v "$compiler" >/dev/null; then
        echo "skipped: the NEON paths are not compiled without $compiler (package g++-aarch64-linux-gnu)"
        exit 0
    fi
    find "$root/native/src" -name '*.cpp' -not -path '*/cuda/runtime/*' -print0 |
        xargs -0 -P "$(nproc)" -n 1 "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -DGRAFT_BUILD \
            -DGRAFT_VERSION='"neon"' -DHWY_COMPILE_ONLY_STATIC -I"$root/native/src" -I"$root/native/include" \
            -isystem "$GRAFT_DNNL_ROOT/include"
    ;;
*)
    echo "usage: build-native.sh build [TARGET]|test|format|neon" >&2
    exit 2
    ;;
esac
