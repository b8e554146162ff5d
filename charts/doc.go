// SPDX-License-Identifier: Apache-2.0

// Package charts has the tests of the Helm charts beside it. The definition and the operator's rights are copied into a chart, by
// make generate, from where they are generated in config: a chart can't read what is outside of it.
package charts
