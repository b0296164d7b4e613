package sse

import (
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
	// Called when the first answer has come or failed; when the client is served or has given up.
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
	served   bool
	greeted  bool
	waits    *time.Timer // for a stream that says nothing, once it is accepted
	sent     []byte      // position with which it came back
	end      ending
	isCut    bool
	comeBack time.Duration

	servedNs   int64 // first time
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
	c.accepted, c.served, c.greeted, c.end = false, false, false, ending{}
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

// isServed tells whether the client has a stream now.
func (c *client) isServed() bool {
	c.shard.Lock()
	defer c.shard.Unlock()
	return c.served
}

// cut ends an open connection as a lost network does; false: there is none.
func (c *client) cut(within time.Duration) bool {
	c.shard.Lock()
	closer, served := c.closer, c.served
	if served && within >= 0 {
		c.comeBack = time.Duration(rand.Float64() * float64(within))
		c.isCut = true
	}
	c.shard.Unlock()
	if !served || closer == nil {
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
	if c.waits != nil {
		c.waits.Stop()
		c.waits = nil
	}
	if c.served {
		c.swarm.open.Add(-1)
	}
	if c.accepted && !ending {
		s.closed++
		if !c.served {
			s.turnedAway++
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
	c.accepted, c.served = false, false
	c.shard.Unlock()
	if closer != nil {
		_ = closer.Close()
	}
	return accepted
}
