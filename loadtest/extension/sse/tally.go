package sse

import (
	"runtime"
	"sync"
)

// counters are what is added up over the clients of a swarm.
type counters struct {
	faults
	events, bytes int64
	gaps          map[string]int64
	// Connections that a client came back with, and how those with a position went on.
	reconnects, resumed, notResumed int64
	// Answers that were no event stream; connections that failed before an answer; answers that ended before anything
	// came, which is how a passing condition is told to a browser.
	refused, failed, turnedAway int64
	closed, closing             int64
	// Events of more topics than a client remembers.
	unchecked int64
	// What had not come when complete ended its wait; part of what is lost.
	tailLost int64
	errors   map[string]int64
}

func (c *counters) add(other *counters) {
	c.lost += other.lost
	c.duplicated += other.duplicated
	c.outOfOrder += other.outOfOrder
	c.announced += other.announced
	c.events += other.events
	c.bytes += other.bytes
	c.reconnects += other.reconnects
	c.resumed += other.resumed
	c.notResumed += other.notResumed
	c.refused += other.refused
	c.failed += other.failed
	c.turnedAway += other.turnedAway
	c.closed += other.closed
	c.closing += other.closing
	c.unchecked += other.unchecked
	c.tailLost += other.tailLost
	c.gaps = added(c.gaps, other.gaps)
	c.errors = added(c.errors, other.errors)
}

func added(to, from map[string]int64) map[string]int64 {
	for key, count := range from {
		to = counted(to, key, count)
	}
	return to
}

// mostReasons bounds what servers can make us remember.
const mostReasons = 32

func counted(to map[string]int64, key string, count int64) map[string]int64 {
	if to == nil {
		to = map[string]int64{}
	}
	if _, known := to[key]; !known && len(to) >= mostReasons {
		key = "other"
	}
	to[key] += count
	return to
}

// shard is a part of a swarm's clients: they read into one buffer and count in one place, one after the other. There
// are as many as cores, so that nobody waits for long and memory does not grow with connections.
type shard struct {
	sync.Mutex
	buffer []byte
	hints  hints
	counters
	connect, firstBlock, latency histogram
}

const readBytes = 64 << 10

func newShards() []*shard {
	shards := make([]*shard, min(16, runtime.GOMAXPROCS(0)))
	for i := range shards {
		shards[i] = &shard{buffer: make([]byte, readBytes)}
	}
	return shards
}

// totals are what a swarm has seen so far.
type totals struct {
	counters
	connect, firstBlock, latency histogram
}

// add leaves `other` as it is.
func (t *totals) add(other *totals) {
	t.counters.add(&other.counters)
	t.connect.merge(&other.connect)
	t.firstBlock.merge(&other.firstBlock)
	t.latency.merge(&other.latency)
}

// collect takes from all shards what was counted since the last time.
func collect(shards []*shard, into *totals) {
	for _, s := range shards {
		s.Lock()
		into.counters.add(&s.counters)
		s.counters = counters{}
		into.connect.take(&s.connect)
		into.firstBlock.take(&s.firstBlock)
		into.latency.take(&s.latency)
		s.Unlock()
	}
}
