#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the images of commit $1 of this repository, with the tag old, in folder $2, which gets the files of that commit.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$1 dir=$2

if [ "$(cat "$dir/.commit" 2>/dev/null)" = "$commit" ]; then exit; fi
rm -rf "$dir"
mkdir -p "$dir"
git archive "$commit" | tar -x -C "$dir"
make -C "$dir" images ARCHITECTURES="$(go env GOARCH)" VERSION=old
echo "$commit" >"$dir/.commit"
