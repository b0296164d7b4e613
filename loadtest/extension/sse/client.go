package sse

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// client is one subscriber: what it has had so far, over all its connections. Everything but `live` runs under the
// lock of its shard.
type client struct {
	swarm *swarm
	shard *shard
	index int
	slow  bool
	// Called when the first answer has come or failed; when the client is open or has given up.
	release, settle func()
	set             *topicSet

	parser   parser
	response response
	closer   io.Closer
	hungUp   bool

	// The connection.
	now      int64
	beganNs  int64
	accepted bool
	greeted  bool
	sent     []byte // position with which it came back
	end      ending
	isCut    bool
	comeBack time.Duration

	wasOpen    bool
	greetedNs  int64
	catchingUp bool
	sequence   int64
	recent     *ledger
	ledgers    map[string]*ledger
	gapped     bool
	waiting    []event
	done       atomic.Bool
}

func (c *client) begin(s *swarm, index int) {
	c.swarm, c.index, c.shard = s, index, s.shards[index%len(s.shards)]
	c.set = s.options.set(index)
	c.slow = s.options.isSlow(index)
	c.parser.lastID = []byte(s.options.lastEventID)
	c.parser.retryMs = s.options.policy.retryMs
	c.catchingUp = s.options.since != "" || s.options.lastEventID != ""
}

// live connects, and comes back for as long as the policy says.
func (c *client) live() {
	defer c.swarm.alive.Done()
	ctx, failed := c.swarm.context, 0
	for first := true; ctx.Err() == nil; first = false {
		c.connecting(first)
		err := c.follow(ctx)
		accepted := c.disconnected(err)
		c.release()
		if ctx.Err() != nil {
			break
		}
		if failed++; accepted {
			failed = 0
		}
		wait, again := c.pause(failed)
		if !again {
			break
		}
		if !sleep(ctx, wait) {
			break
		}
	}
	c.done.Store(true)
	c.settle()
}

func (c *client) connecting(first bool) {
	c.shard.Lock()
	defer c.shard.Unlock()
	c.parser.connected()
	c.response = response{}
	c.accepted, c.greeted, c.end = false, false, ending{}
	c.beganNs = time.Now().UnixNano()
	c.sent = c.sent[:0]
	if !first {
		c.shard.reconnects++
		c.sent = append(c.sent, c.parser.lastID...)
	}
}

// connected keeps what ends the connection; false: the swarm is closing.
func (c *client) connected(closer io.Closer) bool {
	c.shard.Lock()
	defer c.shard.Unlock()
	c.closer = closer
	return !c.hungUp
}

// hangUp ends the connection from outside. Closing waits for the reader, so it is not done under the lock.
func (c *client) hangUp() {
	c.shard.Lock()
	closer := c.closer
	c.hungUp = true
	c.shard.Unlock()
	if closer != nil {
		_ = closer.Close()
	}
}

// cut ends an open connection as a lost network does; false: there is none.
func (c *client) cut(within time.Duration) bool {
	c.shard.Lock()
	closer, accepted := c.closer, c.accepted
	if accepted && within >= 0 {
		c.comeBack = time.Duration(rand.Float64() * float64(within))
		c.isCut = true
	}
	c.shard.Unlock()
	if !accepted || closer == nil {
		return false
	}
	_ = closer.Close()
	return true
}

// pause is how long to stay away; false: for ever.
func (c *client) pause(failed int) (time.Duration, bool) {
	c.shard.Lock()
	defer c.shard.Unlock()
	if c.isCut {
		c.isCut = false
		return c.comeBack, true
	}
	return c.swarm.options.policy.wait(c.end, c.parser.retryMs, failed)
}

// disconnected counts the end of a connection, and tells whether it had been accepted.
func (c *client) disconnected(err error) bool {
	c.shard.Lock()
	closer := c.closer
	c.closer = nil
	s, ending := c.shard, c.swarm.context.Err() != nil
	if c.accepted {
		c.swarm.open.Add(-1)
		if !ending {
			s.closed++
			if !c.greeted {
				s.turnedAway++
			}
		}
	} else if !ending {
		if c.end.refused {
			s.refused++
		} else {
			s.failed++
			c.end.failure = reasonOf(err)
			s.errors = counted(s.errors, c.end.failure, 1)
		}
	}
	accepted := c.accepted
	c.accepted = false
	c.shard.Unlock()
	if closer != nil {
		_ = closer.Close()
	}
	return accepted
}

// answer looks at the head of the answer; false: it is no event stream.
func (c *client) answer(status int, isStream bool, retryAfter int64) bool {
	if status != 200 || !isStream {
		c.end.refused, c.end.retryAfter = true, retryAfter
		c.shard.errors = counted(c.shard.errors, refusalOf(status), 1)
		return false
	}
	c.accepted = true
	if !c.wasOpen {
		c.wasOpen = true
		c.swarm.opened.Add(1)
	}
	c.swarm.open.Add(1)
	c.shard.connect.record(c.now - c.beganNs)
	c.release()
	c.settle()
	return true
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
	if len(p.kind) > 0 && p.kind[0] == '$' {
		c.heed(p)
		return
	}
	if !p.hasData {
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
	if c.greetedNs == 0 {
		c.greetedNs = c.now
		c.snapshot()
	}
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
