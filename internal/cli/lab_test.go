// SPDX-License-Identifier: Apache-2.0

package cli

import "time"

// limit is how long a condition may take on a slow machine.
const limit = 120 * time.Second
