#!/usr/bin/env bash
# One command for a GPU host: builds for its GPU, runs the native tests, the native benchmarks and compute-sanitizer, and
# prints a short table last. Needs CUDA's toolkit, CMake, a C++20 compiler and Python; no network, no JDK.
#
#   benchmarks/device/run.sh [--only SECTION[,SECTION…]] [--limit SECONDS] [--arch 90a] [--jobs N]
#   benchmarks/device/run.sh --pack FOLDER
#
# Sections, in order: machine build test benchmark sanitizer. A step that fails, or outruns its time, does not stop the
# next one, but for the build; the exit status is 1 when any failed. All end within --limit (default 560). A log of each
# section and device.json go to $OUT (default: build/device-results), both also when the run is cut off. A later call
# with --only goes on with what an earlier one built.
#
# The build needs oneDNN, Highway, GoogleTest and nlohmann-json. Where the host has them, nothing is to be done (oneDNN:
# $GRAFT_DNNL_ROOT). A host without network gets them from a folder made by --pack on a Debian or Ubuntu machine of the
# same processor family, after ./mvnw package; name it in $GRAFT_DEPS.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
all=(machine build test benchmark sanitizer)
only=()
arch=90a
jobs=$(nproc)
limit=560
out=${OUT:-$root/build/device-results}
build=${GRAFT_BUILD:-$root/build/device}
PATH=$PATH:/usr/local/cuda/bin

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
    --limit) limit=${2:?--limit needs a number of seconds}; shift 2 ;;
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
for number in "$limit" "$jobs"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || die "'$number' is no number of seconds or jobs"
done
for tool in cmake c++ python3 timeout; do
    command -v "$tool" >/dev/null || die "$tool is not on the PATH"
done
if [ -n "${GRAFT_DEPS:-}" ]; then
    [ -f "$GRAFT_DEPS/dnnl.jar" ] || die "GRAFT_DEPS=$GRAFT_DEPS is no folder that --pack made"
    GRAFT_DEPS=$(cd "$GRAFT_DEPS" && pwd)
fi

has_kernels() {
    command -v nvcc >/dev/null
}

no_kernels="nvcc is not there, so what runs here is the CPU library and the emulator"

# step SECONDS COMMAND…: runs it for that long at most, and no longer than the whole run may take. Its status counts for
# the section, which goes on.
step() {
    local seconds=$1 left=$((limit - SECONDS)) status=0
    shift
    [ "$left" -ge "$seconds" ] || seconds=$left
    [ "$seconds" -gt 0 ] || { echo "left out, the time is up: $*"; failed=1; return 0; }
    timeout -k 5 "$seconds" "$@" || status=$?
    [ "$status" = 0 ] || { failed=1; echo "status $status$([ "$status" != 124 ] || echo " (stopped after $seconds s)"): $*"; }
}

section_machine() {
    uname -srm
    grep -m 1 '^model name' /proc/cpuinfo || true
    echo "processors: $(nproc)"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "nvidia-smi: not there"
    nvcc --version 2>/dev/null | tail -n 2 || echo "nvcc: not there"
    cmake --version | head -n 1
    timeout 60 python3 -c 'import torch; print("PyTorch", torch.__version__, "sees a GPU:", torch.cuda.is_available())' 2>/dev/null ||
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
        # why: the jar has only the versioned name, and linkers look for the plain one.
        ln -sf libdnnl.so.3 "$unpacked/org/bytedeco/dnnl/linux-x86_64/libdnnl.so"
        echo "$unpacked/org/bytedeco/dnnl/linux-x86_64"
    elif [ -d "$maven" ]; then
        echo "$maven"
    fi
}

section_build() {
    local dnnl options=() target=all
    [ -z "${GRAFT_DEPS:-}" ] || options+=("-DCMAKE_PREFIX_PATH=$GRAFT_DEPS/usr")
    dnnl=$(find_dnnl)
    [ -z "$dnnl" ] || options+=("-DGRAFT_DNNL_ROOT=$dnnl")
    if command -v ninja >/dev/null; then options+=(-G Ninja); fi
    # Where there is a GPU to test, the emulator's programs are not built.
    if has_kernels; then target=device; fi
    # why: a compiler other than the developers' may warn of other things, which is no reason not to measure.
    step 60 cmake -S "$root/native" -B "$build" -DCMAKE_BUILD_TYPE=Release -DGRAFT_WERROR=OFF \
        -DCMAKE_CUDA_ARCHITECTURES="$arch" "${options[@]}"
    [ "$failed" = 1 ] || step "$limit" cmake --build "$build" --parallel "$jobs" --target "$target"
}

# Products need cuBLASLt: the toolkit's where the loader finds it, else the one that came with PyTorch.
find_cublaslt() {
    { [ -n "${GRAFT_CUBLASLT:-}" ] || ! has_kernels || ldconfig -p 2>/dev/null | grep -q libcublasLt; } && return 0
    GRAFT_CUBLASLT=$(timeout 60 python3 -c 'import glob, os, site, sysconfig
folders = {sysconfig.get_path("purelib"), *site.getsitepackages()}
found = [f for folder in folders for f in glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libcublasLt.so.*"))]
print(max(found, default=""))' 2>/dev/null) || GRAFT_CUBLASLT=
    if [ -n "$GRAFT_CUBLASLT" ]; then export GRAFT_CUBLASLT; else unset GRAFT_CUBLASLT; fi
    echo "cuBLASLt: ${GRAFT_CUBLASLT:-not found, linear and LoRA will say so}"
}

section_test() {
    if has_kernels; then
        find_cublaslt
        # Where the GPU cannot be used it says why, with status 77.
        step 150 "$build/tests/gpu/cuda_native_test" --gtest_brief=1 --gtest_output="xml:$work/tests.xml"
    else
        step "$limit" ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$jobs" \
            --output-junit "$work/tests.xml"
    fi
}

# Those of the GPU come first.
section_benchmark() {
    local name options
    has_kernels || echo "$no_kernels"
    find_cublaslt
    for name in device step layer attention; do
        options=()
        # Benchmarks that write JSON name the option in their usage.
        grep -qe '--json' "$root/benchmarks/native/${name}_benchmark.cpp" && options=(--json "$work/$name.json")
        echo "-- $name"
        step 60 "$build/benchmarks/${name}_benchmark" "${options[@]}" | tee "$work/$name.txt"
        # why by hand: the step ran in a pipe, whose variables are its own.
        ! grep -qE '^(status [0-9]|left out)' "$work/$name.txt" || failed=1
    done
}

section_sanitizer() {
    has_kernels || { echo "skipped: $no_kernels"; return 0; }
    command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not on the PATH"; return 1; }
    find_cublaslt
    local tool
    for tool in memcheck racecheck synccheck initcheck; do
        echo "-- $tool"
        step 60 compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/tests/gpu/cuda_native_test" --gtest_brief=1 \
            --gtest_filter='CudaDeviceFunctions.*:CudaSm90Device.*:*ManySchedules*'
    done
}

# Gathers what there is into device.json, and prints the table.
report() {
    local kernels=yes
    has_kernels || kernels=no
    python3 "$root/benchmarks/device/report.py" "$root" "$out" "$work" "$arch" "$kernels"
}

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
# What an earlier call left of these sections goes.
rm -f "$out/device.json"
for section in "${only[@]}"; do rm -f "$out/$section.log"; done
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

any=0
for section in "${only[@]}"; do
    echo "== $section"
    start=$SECONDS
    # So that the table has the section also when nothing comes behind it.
    printf '%s\t%s\t%s\n' "$section" "cut off" 0 >"$work/running.tsv"
    report >/dev/null
    set +e
    # why: -e would be off inside a function that is called as a condition, so the status is taken by hand.
    (failed=0; set -e; "section_$section"; exit "$failed") 2>&1 | tee "$out/$section.log"
    status=${PIPESTATUS[0]}
    set -e
    printf '%s\t%s\t%s\n' "$section" "$status" "$((SECONDS - start))" >>"$work/sections.tsv"
    rm -f "$work/running.tsv"
    report >"$work/table"
    [ "$status" = 0 ] || any=1
    [ "$section" = build ] && [ "$status" != 0 ] && { echo "the build failed; the other sections need it" >&2; break; }
done
cat "$work/table"
exit "$any"
