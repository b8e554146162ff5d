// SPDX-License-Identifier: Apache-2.0

// Package apitest is a client of the HTTP API that is generated from its description, as anybody may make one. Tests use it to see that the
// description is good enough for that.
package apitest

//go:generate go tool -modfile=../../../go.tools.mod oapi-codegen -config config.yaml openapi.json
