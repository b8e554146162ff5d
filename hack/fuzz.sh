#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of the repository in turn: fuzz.sh TIME-FOR-EACH
set -euo pipefail
time=${1:-60s}

passed=0
while IFS=: read -r file func; do
  name=${func#func }
  echo "== $file $name $time"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$(dirname "$file")"
  passed=$((passed + 1))
done < <(git grep --untracked -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go')
if [ "$passed" = 0 ]; then
  echo "no fuzz target found" >&2
  exit 1
fi
echo "fuzz: $passed targets, none failed"
