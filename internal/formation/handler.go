// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Handler serves the control endpoint: GET v1.PathNode, POST v1.PathOrders. It can be used from Open on, in every phase.
// Who may reach it is the caller's business; orders need their signature wherever they come from.
func (f *Formation) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+v1.PathNode, func(w http.ResponseWriter, _ *http.Request) {
		f.respond(w, http.StatusOK, f.Status())
	})
	mux.HandleFunc("POST "+v1.PathOrders, f.serveOrder)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusNotFound
		if r.URL.Path == v1.PathNode || r.URL.Path == v1.PathOrders {
			status = http.StatusMethodNotAllowed
		}
		f.respond(w, status, v1.Error{Code: v1.CodeMalformed,
			Message: fmt.Sprintf("there are GET %s and POST %s, nothing else", v1.PathNode, v1.PathOrders)})
	})
	return mux
}

func (f *Formation) serveOrder(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, v1.MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		f.respond(w, http.StatusRequestEntityTooLarge, v1.Error{Code: v1.CodeMalformed,
			Message: fmt.Sprintf("the body is larger than %d bytes", v1.MaxBody)})
		return
	}
	if err != nil {
		f.respond(w, http.StatusRequestTimeout, v1.Error{Code: v1.CodeMalformed, Message: "the body did not come: " + err.Error()})
		return
	}
	var signed v1.SignedOrder
	if err := strict(b, &signed); err != nil {
		f.respond(w, http.StatusBadRequest, v1.Error{Code: v1.CodeMalformed, Message: "the body is not a signed order: " + err.Error()})
		return
	}
	err = f.Take(signed)
	var refused *v1.Error
	switch {
	case err == nil:
		f.respond(w, http.StatusOK, f.Status())
	case errors.As(err, &refused):
		f.respond(w, httpStatus(refused.Code), refused)
	default:
		f.respond(w, http.StatusInternalServerError, v1.Error{Code: v1.CodeInternal, Message: err.Error()})
	}
}

func httpStatus(code string) int {
	switch code {
	case v1.CodeMalformed:
		return http.StatusBadRequest
	case v1.CodeUnsigned:
		return http.StatusForbidden
	case v1.CodeInternal:
		return http.StatusInternalServerError
	default: // the node is not what the order was made for
		return http.StatusConflict
	}
}

func (f *Formation) respond(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // no such body exists
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client may have gone away
}
