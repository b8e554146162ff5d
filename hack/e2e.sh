#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs tests of internal/e2e/kube, those whose names match $3, on a Kubernetes of their own, named $1, with images of the version $2. Takes it
# down in the end, also when it is interrupted, and tells how long all took.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster=$1 version=$2 tests=$3

if ! go test -list "$tests" ./internal/e2e/kube | grep '^Test' >/dev/null; then
  echo "internal/e2e/kube has no test whose name matches $tests" >&2
  exit 1
fi

finish() {
  local code=$?
  trap '' INT TERM
  bin/devcluster --name "$cluster" down || code=1
  echo "e2e: $((SECONDS / 60)) min $((SECONDS % 60)) s"
  exit "$code"
}
trap finish EXIT

bin/devcluster --name "$cluster" up --nodes 3 --install >/dev/null
for image in membershipd unibus-operator unibus; do
  bin/devcluster --name "$cluster" load "bin/images/$image.tar"
done
go test -count=1 -v -timeout 30m -run "$tests" ./internal/e2e/kube -cluster "$cluster" -version "$version"
