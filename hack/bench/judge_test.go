// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	gaps := func(killOurs, stopOurs time.Duration) map[string][]time.Duration {
		return map[string][]time.Duration{
			killStream + " ours": {time.Second, killOurs, killOurs}, killStream + " stock": {5 * time.Second, 5 * time.Second},
			killMeta + " ours": {2 * time.Second}, killMeta + " stock": {4 * time.Second},
			killMetaW + " ours": {9 * time.Second}, killMetaW + " stock": {time.Second}, // told, not judged
			stopStream + " ours": {0, stopOurs}, stopStream + " stock": {time.Second},
		}
	}
	for _, c := range []struct {
		kill, stop time.Duration
		held       string
	}{
		{3 * time.Second, 500 * time.Millisecond, "yyyy"},
		{3100 * time.Millisecond, 100 * time.Millisecond, "nyyy"},
		{time.Second, 501 * time.Millisecond, "yyyn"}, // the worst one counts
	} {
		got := ""
		for _, row := range judge(gaps(c.kill, c.stop)) {
			if row.Held {
				got += "y"
			} else {
				got += "n"
			}
		}
		if got != c.held {
			t.Errorf("kill %v, stop %v: held %s, want %s", c.kill, c.stop, got, c.held)
		}
	}
}

func TestPictureIsXML(t *testing.T) {
	begin := time.Now()
	s := count("a <series>", oursColor, []time.Time{begin, begin.Add(step), begin.Add(time.Hour)}, begin, begin.Add(time.Second))
	s.marks = []mark{{step, "kill -9 & more"}}
	if s.counts[0] != 1 || s.counts[1] != 1 {
		t.Errorf("counts are %v", s.counts)
	}
	d := xml.NewDecoder(strings.NewReader(picture("<title>", s, s)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
