// SPDX-License-Identifier: Apache-2.0

package crowd

import "testing"

// TestModelOfOneRoom: what a pair may do is certain before a change is called and once it is settled, and both in between.
func TestModelOfOneRoom(t *testing.T) {
	ann := Pair{"ann", "room"}
	for _, c := range []struct {
		name        string
		from, to    float64
		least, most Level
	}{
		{"before", 0, 0.9, None, None},
		{"called", 0, 1, None, Write},
		{"not yet settled", 11.9, 11.9, None, Write},
		{"settled", 12, 19.9, Write, Write},
		{"removal called", 19.9, 20, None, Write},
		{"removal not settled", 30.9, 40, None, Write},
		{"removed", 31, 40, None, None},
		{"over all", 0, 40, None, Write},
	} {
		j, _ := newJudge(t)
		if least, most := j.May(ann, moment(c.from), moment(c.to)); least != c.least || most != c.most {
			t.Errorf("%s: %d to %d, want %d to %d", c.name, least, most, c.least, c.most)
		}
	}
}

// TestModelCalm: the shorter bound holds only where the cluster was left alone for all of it.
func TestModelCalm(t *testing.T) {
	ann := Pair{"ann", "room"}
	for _, c := range []struct {
		name     string
		from, to float64
		at       float64
		most     Level
	}{
		{"calm", 21, 23, 23, None},
		{"not over yet", 21, 23, 22.9, Write},
		{"begun after the answer", 21.1, 40, 23, Write},
		{"ended too early", 0, 22.9, 23, Write},
		{"still going on", 21, 0, 23, None},
	} {
		j, _ := newJudge(t)
		end := j.Calm(moment(c.from))
		if c.to > 0 {
			end(moment(c.to))
		}
		if _, most := j.May(ann, moment(c.at), moment(c.at+1)); most != c.most {
			t.Errorf("%s: at most %d, want %d", c.name, most, c.most)
		}
	}
}

// TestModelUnanswered: a change that was never answered may have been made or not, for ever, and what comes later overrules it.
func TestModelUnanswered(t *testing.T) {
	j, _ := newJudge(t)
	ann := Pair{"ann", "room"}
	j.Call(moment(50), Read, ann)
	if least, most := j.May(ann, moment(99), moment(99)); least != None || most != Read {
		t.Errorf("unanswered: %d to %d", least, most)
	}
	j.Call(moment(100), Write, ann)(moment(101))
	if least, most := j.May(ann, moment(111), moment(112)); least != Write || most != Write {
		t.Errorf("overruled: %d to %d", least, most)
	}
	if j.Now(ann) != Write || j.Now(Pair{"eve", "room"}) != None {
		t.Error("what was called for last")
	}
}
