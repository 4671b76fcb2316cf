#!/usr/bin/env bash
# No instruction that an older processor lacks outside of the code that is chosen by what the processor has: Highway's
# targets, and the functions of guarded_instructions.txt, which are called only behind has_bf16_pairs(), has_bf16_tiles() or
# by_byte_tables(). A test on a newer processor alone would not see it.
#   instructions.sh LIBRARY GUARDED
set -euo pipefail

library=$1 guarded=$2
[ "$(uname -m)" = x86_64 ] || { echo "SKIPPED: not x86-64"; exit 0; }
command -v objdump > /dev/null || { echo "SKIPPED: no objdump"; exit 0; }

# AVX and later: wide registers, masks, tiles; xmm16 and up.
found=$(objdump -d -C --no-show-raw-insn "$library" | awk '
    /^[0-9a-f]+ <.*>:$/ { function_name = $0; sub(/^[0-9a-f]+ /, "", function_name) }
    /%[yz]mm|%tmm|%k[1-7]|%xmm(1[6-9]|2[0-9]|3[01])|\ttile|\t(ld|st)tilecfg/ { print function_name }' | sort -u)
grep -q '::N_AVX2::' <<< "$found" || { echo "$library shows no code for AVX2: nothing was examined"; exit 1; }
stray=$(grep -vE '::N_[A-Z0-9_]+::' <<< "$found" | grep -vwFf "$guarded" || true)
[ -z "$stray" ] || { printf 'not guarded by what the processor has:\n%s\n' "$stray"; exit 1; }
