// SPDX-License-Identifier: Apache-2.0

package membership

import "testing"

// Whoever asks a leader that is cut off may be told that all is as it should be already, when it is not any more. So nothing is answered
// for done that no quorum has taken.
func TestWhatIsDoneAlreadyIsWrittenAgain(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	gone, _ := mustUser(t, s, "ann")
	must(t)(nil, s.RemoveUser(ctx, gone, 0))
	key, _ := mustUser(t, s, "bob")

	alone := mustStore(t, &crashing{JetStream: js}, StoreConfig{}) // it can read, and not write
	expectErr(t, "the removal of a user who is gone", alone.RemoveUser(ctx, gone, 0), errCrash)
	_, err := alone.SetAdmin(ctx, key, false, 0)
	expectErr(t, "making a user what it is", err, errCrash)
}
