// SPDX-License-Identifier: Apache-2.0

package front

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
)

const maxFault = 64 << 10 // bytes of one command

// Set begins a fault, or ends it with mode None, at the front that listens on socket. It is in force when Set returns. It fails when the
// front does not run, or says what is wrong with the fault.
func Set(ctx context.Context, socket string, f Fault) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("fault %s: %w", f.Mode, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://front/fault", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("fault %s: %w", f.Mode, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the front of the API server does not answer at %s; see with `devcluster status` whether the cluster is up: %w", socket, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxFault))
		return fmt.Errorf("the front of the API server refuses: %s", strings.TrimSpace(string(text)))
	}
	return nil
}

// listenControl takes over the socket of a front that was killed.
func listenControl(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for faults: %w", err)
	}
	return listener, nil
}

func controlHandler(f *faults, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		var fault Fault
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFault)).Decode(&fault)
		if err == nil {
			err = f.set(fault)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		log.Info("fault", "mode", fault.Mode, "account", fault.ServiceAccount, "for", fault.For)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
