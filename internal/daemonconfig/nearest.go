// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"fmt"
	"regexp"
	"strings"
)

// serviceLinks is the remedy for what Kubernetes puts into the environment beside a service that is called unibus.
const serviceLinks = "it looks like one that Kubernetes makes for a service; set enableServiceLinks: false in the pod, or name the service otherwise"

var serviceVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)`)

func unknownVariable(name string) error {
	if serviceVariable.MatchString(name) {
		return fmt.Errorf("unknown environment variable %s: %s", name, serviceLinks)
	}
	var known []string
	for _, s := range settings {
		known = append(known, s.Env())
	}
	return fmt.Errorf("unknown environment variable %s%s", name, nearest(name, append(known, envPrefix+strings.ToUpper(ConfigFlag))))
}

func names() []string {
	var all []string
	for _, s := range settings {
		all = append(all, s.Name)
	}
	return all
}

// nearest ends a sentence about an unknown name with the known one that is meant, if any is near.
func nearest(name string, known []string) string {
	// Of a short name one slip is forgiven: two make another word.
	given := fold(strings.TrimPrefix(name, envPrefix))
	best, least := "", max(1, len(given)/3)+1
	for _, k := range known {
		if d := distance(given, fold(strings.TrimPrefix(k, envPrefix))); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "; `membershipd config` lists all that are known"
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// fold forgets what is easily confused.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(s))
}

// distance is the number of characters to be inserted, deleted, changed or swapped with the next one to make b of a.
func distance(a, b string) int {
	const most = 64 // names are short, what is given may not be
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1) // for three prefixes of a
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
