// SPDX-License-Identifier: Apache-2.0

// Command testpod is the one program in the pods of the conformance test: it serves, and does by `kubectl exec` what a test asks of a pod.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// Folder that a pod may mount: there testpod makes what `kubectl cp` needs, as the name that it needs.
	tools    = "/tools"
	identity = "/var/run/secrets/kubernetes.io/serviceaccount"
	patience = 5 * time.Second // of one request or look-up
)

var commands = map[string]func(args []string) error{
	"serve":  func([]string) error { return serve() },
	"lookup": one(lookup),
	"get":    one(func(url string) error { return get(http.DefaultClient, "", url) }),
	"api":    one(api),
	"fill":   one(fill),
	"cat":    one(cat),
	"rm":     one(os.Remove),
	"put":    put,
	"tar":    archive,
}

func main() {
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	if commands[args[0]] == nil && len(args) > 1 {
		args = args[1:]
	}
	run := commands[args[0]]
	if run == nil {
		run = func([]string) error { return fmt.Errorf("no command %q", args[0]) }
	}
	if err := run(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testpod:", err)
		os.Exit(1)
	}
}

func one(f func(string) error) func([]string) error {
	return func(args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("got %d arguments, want 1", len(args))
		}
		return f(args[0])
	}
}

// serve answers on port 8080 with the name of the pod, and says that it is ready when the file named by READY, if any, is there.
func serve() error {
	if _, err := os.Stat(tools); err == nil {
		if err := copySelf(filepath.Join(tools, "tar")); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if file := os.Getenv("READY"); file != "" {
			if _, err := os.Stat(file); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		name, _ := os.Hostname()
		fmt.Fprintln(w, name)
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: patience}
	context.AfterFunc(ctx, func() { server.Close() })
	fmt.Fprintln(os.Stdout, "testpod serves", strings.Join(os.Args[1:], " "))
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func copySelf(to string) error {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}

func lookup(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	slices.Sort(addresses)
	fmt.Fprintln(os.Stdout, strings.Join(addresses, "\n"))
	return nil
}

// api asks the API server as the pod's ServiceAccount.
func api(path string) error {
	ca, err := os.ReadFile(identity + "/ca.crt")
	if err != nil {
		return err
	}
	token, err := os.ReadFile(identity + "/token")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return get(client, "Bearer "+string(token), "https://kubernetes.default.svc"+path)
}

func get(client *http.Client, authorization, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	_, err = os.Stdout.Write(body)
	return err
}

// fill writes to a file until there is no space, and tells how many MiB went in.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for total := 0; ; {
		n, err := file.Write(block)
		total += n
		if errors.Is(err, syscall.ENOSPC) {
			fmt.Fprintln(os.Stdout, total>>20)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func cat(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(content)
	return err
}

// put returns when the text is on the disk.
func put(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("put: got %d arguments, want a path and a text", len(args))
	}
	file, err := os.Create(args[0])
	if err != nil {
		return err
	}
	_, err = file.WriteString(args[1])
	return errors.Join(err, file.Sync(), file.Close())
}
