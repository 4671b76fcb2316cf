#!/usr/bin/env bash
# One command for a GPU host: builds for its GPU, runs the native tests, compute-sanitizer and the native benchmarks, and
# prints a short table last. Needs CUDA's toolkit, CMake, a C++20 compiler and Python; no network, no JDK.
#
#   benchmarks/device/run.sh [--only SECTION[,SECTION…]] [--arch 90a] [--jobs N]
#   benchmarks/device/run.sh --pack FOLDER
#
# Sections, in order: machine build test sanitizer benchmark. A section that fails does not stop the next one, but for
# the build; the exit status is 1 when any failed. Logs and device.json go to $OUT (default: build/device-results).
#
# The build needs oneDNN, Highway, GoogleTest and nlohmann-json. Where the host has them, nothing is to be done (oneDNN:
# $GRAFT_DNNL_ROOT). A host without network gets them from a folder made by --pack on a Debian or Ubuntu machine of the
# same processor family, after ./mvnw package; name it in $GRAFT_DEPS.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
all=(machine build test sanitizer benchmark)
only=()
arch=90a
jobs=$(nproc)
out=${OUT:-$root/build/device-results}
build=${GRAFT_BUILD:-$root/build/device}

die() {
    echo "run.sh: $*" >&2
    exit 2
}

# Copies headers and libraries of the installed packages and oneDNN's jar into a folder that can travel.
pack() {
    local folder=$1 jar files
    mkdir -p "$folder"
    jar=$(find "${MAVEN_REPOSITORY:-$HOME/.m2/repository}/org/bytedeco/dnnl" -name 'dnnl-*-linux-x86_64.jar' 2>/dev/null | sort | tail -n 1)
    [ -n "$jar" ] || die "no jar of oneDNN in the Maven repository; run ./mvnw -DskipTests package first"
    cp "$jar" "$folder/dnnl.jar"
    files=$(for package in libhwy-dev libhwy1 libgtest-dev nlohmann-json3-dev; do
        dpkg -L "$package" 2>/dev/null || [ "$package" = libhwy1 ] || die "package $package is not installed"
    done | grep -E '^/usr/(include|lib)/' || true)
    # why: libraries under /usr/lib may be links to others of the same package, which travel too.
    while IFS= read -r file; do
        [ -d "$file" ] && [ ! -L "$file" ] && continue
        mkdir -p "$folder$(dirname "$file")"
        cp -P "$file" "$folder$file"
    done <<<"$files"
    echo "packed $(du -sh "$folder" | cut -f 1) into $folder; on the host: GRAFT_DEPS=<that folder> benchmarks/device/run.sh"
}

while [ $# -gt 0 ]; do
    case $1 in
    --only) IFS=, read -r -a only <<<"${2:?--only needs a section}"; shift 2 ;;
    --arch) arch=${2:?--arch needs a value}; shift 2 ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
    --pack) pack "${2:?--pack needs a folder}"; exit 0 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown argument '$1'; --help explains" ;;
    esac
done
[ ${#only[@]} -gt 0 ] || only=("${all[@]}")
for section in "${only[@]}"; do
    [[ " ${all[*]} " == *" $section "* ]] || die "unknown section '$section'; there are: ${all[*]}"
done

has_kernels() {
    command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]
}

no_kernels="nvcc is not there, so what runs here is the CPU library and the emulator"

section_machine() {
    uname -srm
    grep -m 1 '^model name' /proc/cpuinfo || true
    echo "processors: $(nproc)"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "nvidia-smi: not there"
    nvcc --version 2>/dev/null | tail -n 2 || echo "nvcc: not there"
    cmake --version | head -n 1
    python3 -c 'import torch; print("PyTorch", torch.__version__, "sees a GPU:", torch.cuda.is_available())' 2>/dev/null ||
        echo "PyTorch: not there"
    has_kernels || echo "$no_kernels"
}

# Where oneDNN is: named, packed, or unpacked by an earlier Maven build.
find_dnnl() {
    local unpacked=$build-dnnl maven=$root/native/target/dnnl/org/bytedeco/dnnl/linux-x86_64
    if [ -n "${GRAFT_DNNL_ROOT:-}" ]; then
        echo "$GRAFT_DNNL_ROOT"
    elif [ -n "${GRAFT_DEPS:-}" ]; then
        [ -d "$unpacked" ] || python3 -m zipfile -e "$GRAFT_DEPS/dnnl.jar" "$unpacked"
        echo "$unpacked/org/bytedeco/dnnl/linux-x86_64"
    elif [ -d "$maven" ]; then
        echo "$maven"
    fi
}

section_build() {
    local dnnl lib options=()
    if [ -n "${GRAFT_DEPS:-}" ]; then
        lib=$(cd "$(dirname "$(find "$GRAFT_DEPS/usr/lib" -name 'libhwy*' -print -quit)")" && pwd)
        export CPATH=$GRAFT_DEPS/usr/include LIBRARY_PATH=$lib
        options+=("-DCMAKE_PREFIX_PATH=$GRAFT_DEPS/usr")
    fi
    dnnl=$(find_dnnl)
    [ -n "$dnnl" ] && options+=("-DGRAFT_DNNL_ROOT=$dnnl")
    command -v ninja >/dev/null && options+=(-G Ninja)
    # why: a compiler other than the developers' may warn of other things, which is no reason not to measure.
    cmake -S "$root/native" -B "$build" -DCMAKE_BUILD_TYPE=Release -DGRAFT_WERROR=OFF \
        -DCMAKE_CUDA_ARCHITECTURES="$arch" "${options[@]}"
    cmake --build "$build" --parallel "$jobs"
}

# Products need cuBLASLt: the toolkit's where the loader finds it, else the one that came with PyTorch.
find_cublaslt() {
    { [ -n "${GRAFT_CUBLASLT:-}" ] || ! has_kernels || ldconfig -p 2>/dev/null | grep -q libcublasLt; } && return 0
    GRAFT_CUBLASLT=$(python3 -c 'import glob, os, site, sysconfig
folders = {sysconfig.get_path("purelib"), *site.getsitepackages()}
found = [f for folder in folders for f in glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libcublasLt.so.*"))]
print(max(found, default=""))' 2>/dev/null) || GRAFT_CUBLASLT=
    if [ -n "$GRAFT_CUBLASLT" ]; then export GRAFT_CUBLASLT; else unset GRAFT_CUBLASLT; fi
    echo "cuBLASLt: ${GRAFT_CUBLASLT:-not found, linear and LoRA will say so}"
}

section_test() {
    find_cublaslt
    ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$jobs" --output-junit "$out/tests.xml"
    # why: ctest calls it skipped where the GPU cannot be used, which on a GPU host is a failure.
    if has_kernels; then "$build/tests/gpu/cuda_native_test" --gtest_brief=1; fi
}

section_sanitizer() {
    has_kernels || { echo "skipped: $no_kernels"; return 0; }
    command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not on the PATH"; return 1; }
    find_cublaslt
    local tool
    for tool in memcheck racecheck synccheck initcheck; do
        echo "-- $tool"
        compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/tests/gpu/cuda_native_test" --gtest_brief=1 \
            --gtest_filter='CudaDeviceFunctions.*:CudaSm90Device.*:*ManySchedules*'
    done
}

section_benchmark() {
    has_kernels || echo "$no_kernels"
    find_cublaslt
    local benchmark name found=0 options
    for benchmark in "$build"/benchmarks/*_benchmark; do
        [ -x "$benchmark" ] || continue
        found=1
        name=$(basename "$benchmark")
        options=()
        # Benchmarks that write JSON name the option in their usage.
        grep -qe '--json' "$root/benchmarks/native/$name.cpp" && options=(--json "$out/$name.json")
        echo "-- $name"
        "$benchmark" "${options[@]}" | tee "$out/$name.txt"
    done
    [ "$found" = 1 ] || { echo "no benchmark was built in $build/benchmarks"; return 1; }
}

mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/*.log "$out"/*_benchmark.txt "$out"/*.json "$out"/tests.xml "$out"/sections.tsv
failed=0
for section in "${only[@]}"; do
    echo "== $section"
    start=$(date +%s)
    set +e
    # why: -e would be off inside a function that is called as a condition, so the status is taken by hand.
    (set -e; "section_$section") 2>&1 | tee "$out/$section.log"
    status=${PIPESTATUS[0]}
    set -e
    printf '%s\t%s\t%s\n' "$section" "$status" "$(($(date +%s) - start))" >>"$out/sections.tsv"
    [ "$status" = 0 ] || failed=1
    [ "$section" = build ] && [ "$status" != 0 ] && { echo "the build failed; the other sections need it" >&2; break; }
done

kernels=yes
has_kernels || kernels=no
python3 "$root/benchmarks/device/report.py" "$root" "$out" "$arch" "$kernels"
exit "$failed"
