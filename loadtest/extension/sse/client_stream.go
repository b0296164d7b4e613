package sse

import (
	"bytes"
	"time"
)

// silenceServes is how long a stream without a block must stay open to count as served: other servers may have nothing
// to say until their first event, while "come back later" ends at once.
var silenceServes = 3 * time.Second

// answer looks at the head of the answer; false: it is no event stream. The head alone is no service: a gateway that is
// full answers like this too, with no more than `retry:` and the end of the stream.
func (c *client) answer(status int, isStream bool, retryAfter int64) bool {
	if status != 200 || !isStream {
		c.end.refused, c.end.retryAfter = true, retryAfter
		c.shard.errors = counted(c.shard.errors, refusalOf(status), 1)
		return false
	}
	c.accepted = true
	c.shard.connect.record(c.now - c.beganNs)
	c.release()
	began := c.beganNs
	c.waits = time.AfterFunc(silenceServes, func() {
		c.shard.Lock()
		defer c.shard.Unlock()
		if c.accepted && c.beganNs == began {
			c.serve(time.Now().UnixNano())
		}
	})
	return true
}

// serve counts the connection as open. From its first time on the client has to get what is published.
func (c *client) serve(now int64) {
	if c.served {
		return
	}
	c.served = true
	c.waits.Stop()
	c.waits = nil
	c.swarm.open.Add(1)
	if c.servedNs == 0 {
		c.servedNs = now
		c.swarm.opened.Add(1)
		c.snapshot()
	}
	c.settle()
}

// block takes what the parser has found.
func (c *client) block(p *parser) {
	if !c.greeted {
		c.greet(p)
	}
	if c.swarm.events != nil && p.hasData {
		c.waiting = append(c.waiting, event{connection: c.index, id: string(p.lastID), kind: string(p.kind),
			data: string(p.data), receivedMs: float64(c.now) / 1e6})
	}
	if !p.hasData {
		return
	}
	if len(p.kind) > 0 && p.kind[0] == '$' {
		c.heed(p)
		return
	}
	s := c.shard
	s.events++
	e := s.hints.read(p.data)
	if e.madeNs > 0 && !c.catchingUp {
		s.latency.record(c.now - e.madeNs)
	}
	if e.hasN {
		if l := c.ledger(e.topic); l != nil {
			l.take(e.n, &s.faults)
		} else {
			s.unchecked++
		}
	} else if p.hasID {
		c.checkID(p.lastID)
	}
}

// greet is the first block of a connection.
func (c *client) greet(p *parser) {
	c.greeted = true
	c.shard.firstBlock.record(c.now - c.beganNs)
	c.serve(c.now)
	if len(c.sent) == 0 {
		return
	}
	// The greeting tells where the stream goes on; other servers begin with an event, or tell of a gap.
	kept := string(p.kind) != "$gap"
	if string(p.kind) == "$position" {
		kept = bytes.Equal(c.sent, p.lastID)
	}
	if kept {
		c.shard.resumed++
	} else {
		c.shard.notResumed++
	}
}

var reasonKey = []byte(`"reason":"`)

func (c *client) heed(p *parser) {
	switch string(p.kind) {
	case "$gap":
		reason := "other"
		if _, rest, found := bytes.Cut(p.data, reasonKey); found {
			if text, _, found := bytes.Cut(rest, []byte{'"'}); found && len(text) <= 16 {
				reason = string(text)
			}
		}
		c.shard.gaps = counted(c.shard.gaps, reason, 1)
		c.gapped, c.sequence = true, 0
		for _, l := range c.ledgers {
			l.excuse()
		}
	case "$live":
		c.catchingUp = false
	case "$closing":
		c.shard.closing++
	}
}

// checkID is for events without a number: their ids must grow.
func (c *client) checkID(id []byte) {
	dash := bytes.LastIndexByte(id, '-')
	sequence, length := number(id[dash+1:])
	if length == 0 || length != len(id)-dash-1 {
		return
	}
	switch {
	case sequence > c.sequence:
		c.sequence = sequence
	case sequence == c.sequence:
		c.shard.duplicated++
	default:
		c.shard.outOfOrder++
	}
}
