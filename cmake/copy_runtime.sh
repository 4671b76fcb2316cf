#!/bin/sh
# copy_runtime.sh HWY DNNL_DIR TARGET: copies the shared libraries that libgraft loads, under the names it asks for.
set -eu
hwy=$(readlink -f "$1")
cp -f "$hwy" "$3/libhwy.so.1"
cp -f "$2/libdnnl.so.3" "$2/libgomp.so.1" "$3/"
