// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"os"
	"sync"
)

// Stdout is where a program prints, and knows of the first write that failed: what nobody has got is no success, whoever printed it.
type Stdout struct {
	file *os.File

	mu  sync.Mutex
	err error
}

// NewStdout returns a Stdout that prints into a file.
func NewStdout(file *os.File) *Stdout { return &Stdout{file: file} }

// Write implements io.Writer.
func (s *Stdout) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			s.err = err
		}
	}
	return n, err
}

// Err returns an error if not all could be printed.
func (s *Stdout) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("all was done, but not all of the result could be printed: %w", s.err)
}

// File is the file that a stream of a command reads from or prints into, nil when there is none.
func File(stream any) *os.File {
	switch s := stream.(type) {
	case *os.File:
		return s
	case *Stdout:
		return s.file
	}
	return nil
}
