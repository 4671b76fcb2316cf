#!/usr/bin/env bash
# One file that measures on a machine without JDK, compiler and network: a Java runtime of just the modules that are needed
# (jlink), the JMH benchmarks, and the native library with its CPU and CUDA kernels.
#
#   benchmarks/device/bundle.sh [FILE.tar.xz]        after ./mvnw -DskipTests package; default: build/graft-bench.tar.xz
#   benchmarks/device/bundle.sh --check              makes no file, and only sees that it would run
#
# There, anywhere:
#
#   tar xf graft-bench.tar.xz && graft-bench/bench --only lora --device cuda      # as ./graft bench
#   graft-bench/jmh LoraBenchmark -p model=llama-3.2-1b -p tokens=512             # as benchmarks/jmh/run
#
# It runs on Linux of the same processor family with a C library that is no older than the building machine's.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
limit_mb=60
# Pictures, JMH's view of the machine, JavaCPP's of memory.
modules=java.base,java.desktop,java.logging,java.management,java.naming,jdk.management,jdk.unsupported
# What `graft bench` never loads: tokenizers, templates and tables of text, and what they bring along.
unused='tokenizers|/api-0|djl|jinjava|parquet|hadoop|guava|snappy|zstd|gson|jna|commons-compress|commons-net|javassist|yaml|aircompressor|derive4j|re2j'

die() {
    echo "bundle.sh: $*" >&2
    exit 1
}

check=no
case ${1:-} in
-h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
--check) check=yes; shift ;;
-*) die "unknown option '$1'; --help explains" ;;
esac
file=${1:-$root/build/graft-bench.tar.xz}
classpath=$root/benchmarks/jmh/target/classpath.txt
[ -s "$classpath" ] || die "nothing is built: run ./mvnw -DskipTests package first"
java_home=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v jlink)")")")}
[ -x "$java_home/bin/jlink" ] || die "no jlink: JAVA_HOME must be a JDK"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/graft-bench
mkdir -p "$bundle/lib"

cp -r "$root/benchmarks/jmh/target/classes" "$bundle/lib/benchmarks"
tr : '\n' <"$classpath" | grep -Ev "$unused" | while IFS= read -r jar; do
    if [ -d "$jar" ]; then
        cp -r "$jar" "$bundle/lib/$(basename "$(dirname "$(dirname "$jar")")")"
    else
        cp "$jar" "$bundle/lib/"
    fi
done

"$java_home/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --output "$bundle/java"

# why without commands: a machine may have little in its PATH.
cat >"$bundle/start" <<'EOF'
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT-20000}
classes=$here/lib/benchmarks:$(printf '%s:' "$here"/lib/*.jar)
options=("-Dgraft.root=$here" "-Dgraft.commit=$(<"$here/commit")" "-Dorg.bytedeco.javacpp.cachedir=$here/native")
# why: from then on Java warns when a class path loads native code without having been allowed to.
[[ $(<"$here/java/release") =~ JAVA_VERSION=\"([0-9]+) ]] && ((BASH_REMATCH[1] >= 22)) &&
    options+=(--enable-native-access=ALL-UNNAMED)
EOF
cat >"$bundle/bench" <<'EOF'
#!/bin/bash
# graft bench on this machine; --help lists the options.
source "${BASH_SOURCE[0]%/*}/start"
exec "$here/java/bin/java" "${options[@]}" -cp "$classes" io.graft.cli.Graft bench "$@"
EOF
cat >"$bundle/jmh" <<'EOF'
#!/bin/bash
# JMH itself; -h lists its options.
source "${BASH_SOURCE[0]%/*}/start"
exec "$here/java/bin/java" "${options[@]}" -cp "$classes" org.openjdk.jmh.Main \
    -prof io.graft.benchmarks.measure.ContenderProfiler -prof io.graft.benchmarks.measure.GraftMemoryProfiler "$@"
EOF
chmod +x "$bundle/bench" "$bundle/jmh"
git -C "$root" rev-parse --short HEAD >"$bundle/commit" 2>/dev/null || echo unknown >"$bundle/commit"
cp "$root/LICENSE" "$bundle/"

# One small benchmark, by nothing but what is in the folder.
env -i PATH=/none HOME="$work" "$bundle/bench" --only lora -p model=tiny -p tokens=16 -p layer=q_proj -p dtype=f32 \
    --rounds 3 --out "$work/report" >"$work/log" 2>&1 || { cat "$work/log" >&2; die "the bundle does not run"; }
[ -s "$work/report/report.html" ] || die "the bundle wrote no report"
[ "$check" = no ] || { echo "the bundle runs"; exit 0; }
rm -rf "$bundle/native"

# why: xz makes native code much smaller than a jar does.
find "$bundle/lib" -name '*.jar' -size +4M | while IFS= read -r jar; do
    mkdir "$work/jar"
    (cd "$work/jar" && "$java_home/bin/jar" xf "$jar" && "$java_home/bin/jar" cf0M "$jar" .)
    rm -r "$work/jar"
done
mkdir -p "$(dirname "$file")"
tar -C "$work" -cf - graft-bench | xz -T0 -6 >"$file"
mb=$(($(stat -c %s "$file") / 1000000))
[ "$mb" -lt "$limit_mb" ] || die "$file has $mb MB, more than $limit_mb"
echo "$file: $mb MB"
