package sse

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// policy says when a client comes back after its connection has ended.
type policy struct {
	// "browser": after any end and failed connection, but never after an answer that is no event stream.
	// "always": after refusals too, as a program with patience does. "none": never.
	kind string
	// Until the server's `retry:` says otherwise, milliseconds.
	retryMs int64
	// What the wait grows to while nobody answers, milliseconds; a longer `retry:` is kept.
	maxMs int64
	// Share by which each wait is varied; browsers do not, and servers should.
	jitter float64
	// Attempts without an answer after which a client gives up; 0: never.
	attempts int
}

func defaultPolicy() policy {
	return policy{kind: "browser", retryMs: 3000, maxMs: 60_000}
}

func (p *policy) check() error {
	switch {
	case p.kind != "browser" && p.kind != "always" && p.kind != "none":
		return fmt.Errorf("reconnect.policy is 'browser', 'always' or 'none', not '%s'", p.kind)
	case p.retryMs < 0 || p.maxMs < 0 || p.attempts < 0:
		return fmt.Errorf("reconnect: retryMs, maxMs and attempts are 0 or more")
	case p.jitter < 0 || p.jitter > 1:
		return fmt.Errorf("reconnect.jitter is from 0 to 1")
	}
	return nil
}

// ending is how a connection went.
type ending struct {
	// The answer was no event stream.
	refused bool
	// The connection failed before an answer; the words for it are few.
	failure string
	// Seconds, from a refusal; 0: none.
	retryAfter int64
}

// wait is how long a client stays away; false: for ever. Failed is how often in a row there was no answer.
func (p *policy) wait(end ending, retryMs int64, failed int) (time.Duration, bool) {
	switch {
	case p.kind == "none", p.kind == "browser" && end.refused:
		return 0, false
	case p.attempts > 0 && failed >= p.attempts:
		return 0, false
	}
	ms := max(retryMs, end.retryAfter*1000)
	if failed > 1 {
		// Browsers back off when nobody answers; how is left to them.
		ms = max(ms, min(max(ms, 1)<<min(failed-1, 6), p.maxMs))
	}
	vary := 1 + p.jitter*(2*rand.Float64()-1)
	return time.Duration(float64(ms)*vary) * time.Millisecond, true
}
