// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"errors"
	"fmt"
)

var (
	// ErrRefused is in every error that says that a disk or a configuration must not be used as it is. Trying again does
	// not help: the message has the remedy.
	ErrRefused = errors.New("refused")
	// ErrLocked means that another process uses the store folder.
	ErrLocked = errors.New("store folder is in use")
)

// refuse makes an ErrRefused: what is wrong, and what a person can do.
func refuse(remedy, format string, a ...any) error {
	return fmt.Errorf("%w: %w; remedy: %s", ErrRefused, fmt.Errorf(format, a...), remedy)
}
