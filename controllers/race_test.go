// SPDX-License-Identifier: Apache-2.0

//go:build race

package controllers

func init() { raced = true }
