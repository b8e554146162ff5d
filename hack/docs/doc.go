// SPDX-License-Identifier: Apache-2.0

// Package docs holds the tests of the documentation: every command block runs, every link leads somewhere.
//
// A block of commands says in its info string when it runs: "sh ci" with every make test, "sh long" with make docs-long.
// A block "sh serve" runs with those that are "ci", and goes on beside the blocks after it, which begin once it has told how it is ended.
// The blocks of one file run in order, in one folder that is a fresh copy of the repository with bin/ built.
package docs

//go:generate go run ../reference ../..
//go:generate go tool -modfile=../../go.tools.mod crd-ref-docs --config api.yaml --source-path ../../api/v1alpha1 --renderer markdown --output-path ../../docs/api.md --log-level warn
//go:generate go tool -modfile=../../go.tools.mod helm-docs --chart-search-root ../../charts --sort-values-order file --log-level warning
