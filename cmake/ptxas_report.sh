#!/bin/sh
# Runs a compiler command and keeps what ptxas says of registers and spills beside the object: OBJECT.ptxas.
object= previous=
for argument; do
    [ "$previous" = -o ] && object=$argument
    previous=$argument
done
"$@" 2>"$object.ptxas"
status=$?
grep -vE "^ptxas info|bytes stack frame|bytes gmem" "$object.ptxas" >&2
exit "$status"
