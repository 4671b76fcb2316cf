#!/usr/bin/env bash
# The mutation gate: every GRAFT_BUG(name) in the kernels is planted once, and the tests must fail; with none they pass.
# A bug of kernels/<stem>.cu is looked for by the tests Cuda<Stem>, one of <stem>.h too where there are such tests, else
# by all; one of sm90/ by all of CudaSm90.
#   mutations.sh PROGRAM FOLDER_OF_KERNELS
set -uo pipefail

program=$1 sources=$2
declare -A file_of
while IFS=: read -r file name; do
    file_of[$name]=$file
done < <(cd "$sources" && grep -roE 'GRAFT_BUG\([a-z_0-9]+\)' --include='*.cu' --include='*.h' . |
    sed -E 's/GRAFT_BUG\((.*)\)/\1/' | grep -v ':name$')

suites=$("$program" --gtest_list_tests | grep '^[A-Z]')
# CudaRmsNorm of rms_norm.cu.
tests_of() {
    local stem=$(basename "$1") name=Cuda word
    [[ $1 == */sm90/* ]] && { echo 'CudaSm90*'; return; }
    for word in $(tr _ ' ' <<<"${stem%.*}"); do name+=${word^}; done
    [ "$name" = CudaAdamw ] && name=CudaAdamW
    grep -q "^$name\.$" <<<"$suites" && echo "$name.*" || echo '-*Death*:CudaDevice*:Emulator*'
}

[ "${#file_of[@]}" -ge 10 ] || { echo "only ${#file_of[@]} bugs to plant in $sources, at least 10 are wanted"; exit 1; }
survivors=0
for name in "${!file_of[@]}"; do
    filter=$(tests_of "${file_of[$name]}")
    log=$(GRAFT_MUTATION=$name timeout 300 "$program" --gtest_brief=1 --gtest_fail_fast --gtest_filter="$filter" 2>&1)
    status=$?
    if [ "$status" = 0 ]; then
        echo "NOT FOUND: $name in ${file_of[$name]} by $filter"
        survivors=$((survivors + 1))
    elif [ "$status" = 124 ]; then
        echo "NOT FOUND in time: $name in ${file_of[$name]} by $filter"
        survivors=$((survivors + 1))
    else
        echo "found: $name: $(grep -m 1 -E 'emulator:|ERROR: AddressSanitizer|runtime error|Failure|exactly' <<<"$log")"
    fi
done
echo "${#file_of[@]} bugs planted, $survivors not found"
[ "$survivors" = 0 ]
