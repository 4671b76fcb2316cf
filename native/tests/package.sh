#!/usr/bin/env bash
# The installed library is all that a C program needs: runs the commands of docs/guide/c.md behind the build, warnings as
# errors, in an empty folder, on an installed tree that was moved. The example itself says whether its loss fell.
#   package.sh REPOSITORY BUILD
set -euo pipefail

repository=$1 build=$2
command -v pkg-config > /dev/null || { echo "SKIPPED: no pkg-config"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CFLAGS="-Wall -Wextra -Wpedantic -Werror" CXXFLAGS="-Wall -Wextra -Wpedantic -Werror"
unset LD_LIBRARY_PATH LIBRARY_PATH CPATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH

commands=$(awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$repository/docs/guide/c.md" |
    sed -E 's/^(cc|c\+\+) /&$CFLAGS /')
[ "$(grep -cE '^(cmake --install|example/lora|\./lora|\./lora_cpp)\b' <<< "$commands")" = 4 ] ||
    { echo "docs/guide/c.md has lost commands"; exit 1; }

# The page's folders, here.
mkdir -p "$work/native/target" "$work/first" "$work/second"
ln -s "$build" "$work/native/target/build"
ln -s "$repository/native/examples" "$work/native/examples"
cd "$work"

export HOME=$work/first
eval "$(grep '^cmake --install' <<< "$commands")"
mv first/graft second/
export HOME=$work/second
set -x
eval "$(grep -vE '^(cmake --install|\./mvnw) ' <<< "$commands")"
example/lora_cpp
set +x
grep -qxF "$(./lora | head -n 1)" "$repository/docs/guide/c.md" || { echo "the page prints another loss"; exit 1; }

# Another minor version is another library.
mkdir newer && sed 's/find_package(graft [0-9.]*/find_package(graft 0.9/' native/examples/CMakeLists.txt > newer/CMakeLists.txt
cmake -S newer -B newer -DCMAKE_PREFIX_PATH="$HOME/graft" > newer/log 2>&1 || true
grep -q "graftConfig.cmake, version: 0" newer/log || { echo "0.9 was not refused"; exit 1; }

# All that is loaded lies in the tree, which does not name where it was built.
ldd lora | tee loaded
grep -qE "libgraft\.so\.[0-9]+\.[0-9]+ => $work/second/graft/lib/" loaded
for library in libdnnl.so.3 libgomp.so.1 libhwy.so.1; do
    grep -qE "$library => $work/second/graft/lib/.*graft/" loaded || { echo "$library is not the tree's"; exit 1; }
done
! grep -rlF "$build" second/graft || { echo "the tree names the build's folder"; exit 1; }
