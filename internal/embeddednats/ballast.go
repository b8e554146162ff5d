// SPDX-License-Identifier: Apache-2.0

package embeddednats

import "sync"

// ballastBytes is how much the collector lets come together beside what is in use, at the default of GOGC.
const ballastBytes = 64 << 20

// ballast is made once in a process and never touched, so that it takes no memory: only the garbage collector counts it. That collects
// whenever the heap has doubled. But what a server has in use, 20 MiB, is so little beside what passes through it that this would be every
// few thousand messages, and cost a tenth of them and more. A higher GOGC would multiply what many users and connections use, too.
var ballast = sync.OnceValue(func() []byte { return make([]byte, ballastBytes) })
