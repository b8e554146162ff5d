// SPDX-License-Identifier: Apache-2.0

package doctor

import "fmt"

// Verdict says how bad a finding is.
type Verdict string

// Verdicts. With a note all is well.
const (
	OK      Verdict = "ok"
	Note    Verdict = "note"
	Warning Verdict = "warning" // something is wrong, and the bus can be used all the same
	Fault   Verdict = "fault"
)

// Codes of what can be found. They stay as they are: programs go by them. What is in order has the code of its check instead.
const (
	ContextMissing    = "context-missing"
	ContextDamaged    = "context-damaged"
	ContextUnreadable = "context-unreadable"
	KeyMissing        = "key-missing"
	KeyUnreadable     = "key-unreadable"
	KeyOpen           = "key-open"
	KeyDamaged        = "key-damaged"
	KeyKind           = "key-kind"
	CAUnusable        = "ca-unusable"
	URLForm           = "url-form"
	Insecure          = "insecure"
	NameUnknown       = "name-unknown"
	NameFailed        = "name-failed"
	Refused           = "connection-refused"
	Unreachable       = "unreachable"
	HungUp            = "hung-up"
	Silent            = "silent"
	NotNATS           = "not-nats"
	NotUniBus         = "not-unibus"
	NoTLS             = "no-tls"
	TLSFailed         = "tls-failed"
	CertificateCA     = "certificate-ca"
	CertificateOver   = "certificate-expired"
	CertificateEarly  = "certificate-not-yet-valid"
	CertificateName   = "certificate-name"
	LoginFailed       = "login-failed"
	NotListed         = "key-not-listed"
	NodeNotReady      = "node-not-ready"
	RoomsFailed       = "rooms-failed"
	NoRoom            = "no-room"
	NotAPI            = "not-api"
	APIFailed         = "api-failed"
	ClockWrong        = "clock-wrong"
	OtherCluster      = "other-cluster"
	TokenRefused      = "token-refused"
	NoServer          = "no-server"
	NoAPI             = "no-api"
	OnlyMessages      = "only-messages"
	OnlyAPI           = "only-api"
)

// Finding is what one check found.
type Finding struct {
	Code    string  `json:"code"`
	Verdict Verdict `json:"verdict"`
	// What was looked at: a file, a URL.
	What string `json:"what"`
	// Found and Remedy are for people. Found may repeat what a server said, with characters that a terminal obeys.
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

// Report is all findings, in the order of the checks.
type Report struct {
	// Well says that nothing is wrong: there are notes at most.
	Well     bool      `json:"well"`
	Findings []Finding `json:"findings"`
}

// fine is the finding of a check that found nothing wrong.
func fine(format string, args ...any) Finding {
	return Finding{Verdict: OK, Found: fmt.Sprintf(format, args...)}
}

func fault(code, remedy, format string, args ...any) Finding {
	return Finding{Code: code, Verdict: Fault, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

func note(code, what, remedy, found string) Finding {
	return Finding{Code: code, Verdict: Note, What: what, Found: found, Remedy: remedy}
}
