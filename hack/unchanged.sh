#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command and fails if it changed the work tree, committed or not: unchanged.sh COMMAND [ARGUMENT ...]
set -euo pipefail

state() { git status --porcelain && git diff HEAD && git ls-files -o --exclude-standard -z | xargs -0 -r sha256sum; }

before=$(state)
"$@"
after=$(state)
if [ "$before" != "$after" ]; then
  echo "changed by: $*" >&2
  diff <(echo "$before") <(echo "$after") >&2 || true
  echo "run it, look at what it changed, and commit that" >&2
  exit 1
fi
