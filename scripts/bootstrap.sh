#!/usr/bin/env bash
# Checks that the tools of the build are there. As root on Debian or Ubuntu it installs what is missing, and says so;
# elsewhere it prints the command that does and exits with 2. Prints nothing when all is there.
set -euo pipefail

missing=()

# need PACKAGE TEST…: the package is missing when the test fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

has_header() {
    [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ]
}

has_jdk_17() {
    local version
    version=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
    [ -n "$version" ] && [ "$version" -ge 17 ]
}

need g++ command -v c++
need cmake command -v cmake
need ninja-build command -v ninja
need clang-format command -v clang-format
need libhwy-dev has_header hwy/highway.h
need libgtest-dev has_header gtest/gtest.h
need nlohmann-json3-dev has_header nlohmann/json.hpp
need openjdk-17-jdk-headless has_jdk_17
need maven command -v mvn

[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "graft: these tools are missing (names of Debian packages): ${missing[*]}" >&2
    exit 2
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "graft: tools are missing. Install them with:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
    exit 2
fi
echo "graft: installing with apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
