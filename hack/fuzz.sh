#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of the repository in turn: fuzz.sh TIME-FOR-EACH
set -euo pipefail
time=${1:-60s}
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# fuzz PACKAGE NAME runs one target. Before Go 1.27 a worker that ends late fails a target that found nothing, and all it
# says is that the deadline has passed (go.dev/issue/75804): that target runs again, twice at most.
fuzz() {
  local go=(go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "./$1") try
  for try in 1 2 3; do
    if "${go[@]}" 2>&1 | tee "$output"; then return; fi
    if [ "$try" = 3 ] || ! grep -qx ' *context deadline exceeded' "$output" || grep -qE 'Failing input|panic:|_test\.go:' "$output"; then
      return 1
    fi
    echo "== $2 found nothing and ended late (go.dev/issue/75804): again"
  done
}

passed=0
while IFS=: read -r file func; do
  name=${func#func }
  echo "== $file $name $time"
  fuzz "$(dirname "$file")" "$name"
  passed=$((passed + 1))
done < <(git grep --untracked -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go')
if [ "$passed" = 0 ]; then
  echo "no fuzz target found" >&2
  exit 1
fi
echo "fuzz: $passed targets, none failed"
