#!/usr/bin/env bash
# The mutation gate: every GRAFT_BUG(name) in the kernels is planted once, and the tests must fail; with none they pass.
# A bug of kernels/<stem>.cu is looked for by the tests Cuda<Stem>, one of <stem>.h too where there are such tests, else
# by all; one of sm90/ by all of CudaSm90. First without sanitizers under few schedules, which takes a moment and finds
# most; what is not found so, with them and under ten seeds.
#   mutations.sh FOLDER_OF_KERNELS PROGRAM PROGRAM_WITH_SANITIZERS
set -uo pipefail

sources=$1 plain=$2 sanitized=$3
declare -A file_of
while IFS=: read -r file name; do
    file_of[$name]=$file
done < <(cd "$sources" && grep -roE 'GRAFT_BUG\([a-z_0-9]+\)' --include='*.cu' --include='*.h' . |
    sed -E 's/GRAFT_BUG\((.*)\)/\1/' | grep -v ':name$')

suites=$("$plain" --gtest_list_tests | grep '^[A-Z]') || { echo "$plain does not run"; exit 1; }
"$sanitized" --gtest_list_tests >/dev/null || { echo "$sanitized does not run"; exit 1; }
# CudaRmsNorm of rms_norm.cu.
tests_of() {
    local stem=$(basename "$1") name=Cuda word
    [[ $1 == */sm90/* ]] && { echo 'CudaSm90*'; return; }
    for word in $(tr _ ' ' <<<"${stem%.*}"); do name+=${word^}; done
    [ "$name" = CudaAdamw ] && name=CudaAdamW
    grep -q "^$name\.$" <<<"$suites" && echo "$name.*" || echo '-*Death*:CudaDevice*:Emulator*'
}

# passes BUG SEEDS PROGRAM FILTER: whether the tests pass with the bug, or do not end; what they say is in $log.
passes() {
    log=$(GRAFT_MUTATION=$1 GRAFT_EMULATOR_SEEDS=$2 timeout 300 "$3" --gtest_brief=1 --gtest_fail_fast \
        --gtest_filter="$4" 2>&1)
    case $? in
    0) log="they pass" ;;
    124) log="they do not end" ;;
    125 | 126 | 127) echo "$3 does not run: $log"; exit 1 ;;
    *) false ;;
    esac
}

[ "${#file_of[@]}" -ge 10 ] || { echo "only ${#file_of[@]} bugs to plant in $sources, at least 10 are wanted"; exit 1; }
survivors=0
for name in "${!file_of[@]}"; do
    filter=$(tests_of "${file_of[$name]}")
    by=
    if passes "$name" 2 "$plain" "$filter"; then
        by=" with sanitizers"
        if passes "$name" 10 "$sanitized" "$filter"; then
            echo "NOT FOUND: $name in ${file_of[$name]} by $filter: $log"
            survivors=$((survivors + 1))
            continue
        fi
    fi
    echo "found$by: $name: $(grep -m 1 -E 'emulator:|ERROR: AddressSanitizer|runtime error|Failure|exactly' <<<"$log")"
done
echo "${#file_of[@]} bugs planted, $survivors not found"
[ "$survivors" = 0 ]
