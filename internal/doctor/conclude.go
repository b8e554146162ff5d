// SPDX-License-Identifier: Apache-2.0

package doctor

import "slices"

// away is what is found of a node that is down or can't be reached, and of no other: the client library goes past these.
var away = []string{NameUnknown, NameFailed, Refused, Unreachable, HungUp, Silent, NodeNotReady}

// conclude reads the findings side by side: what one of them alone can't tell.
func (e *examination) conclude() {
	messages := slices.ContainsFunc(e.servers, func(s outcome) bool { return s.standing == taken })
	for _, s := range e.servers {
		if f := &e.findings[s.last]; s.standing == down && messages && f.Code != URLForm {
			f.Verdict = Warning // another server is used instead; one that has no form of a URL is taken by no command
		}
	}
	for _, s := range e.apis {
		f := &e.findings[s.last]
		switch {
		case s.standing == stranger && messages:
			f.Code, f.Found = TokenRefused, "the API refuses the key, which a node takes for messages"
			f.Remedy = "try again; see that --server and --api are of one cluster, and that the clocks of its nodes agree"
		case s.standing == down && e.api != down && slices.Contains(away, f.Code): // another is asked instead
			f.Verdict = Warning
		}
	}
	switch {
	case len(e.servers) == 0:
		e.add(note(NoServer, "servers", "pass --server nats://host:4222", "none is known, so neither send nor tail work"))
	case e.bus.API == "":
		e.add(note(NoAPI, "the API", "pass --api https://host:8223",
			"no URL is known, so users, rooms and members can't be managed, and the clock is not checked"))
	case messages && e.api == down:
		e.add(Finding{OnlyMessages, Warning, "bus", "messages work, and the HTTP API does not", "do what is said above about the API"})
	case !messages && e.api == taken:
		e.add(Finding{OnlyAPI, Warning, "bus", "the HTTP API works, and messages do not", "do what is said above about the servers"})
	}
}
