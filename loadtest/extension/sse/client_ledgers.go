package sse

// mostLedgers bounds what one client remembers of topics; events of further ones are counted as unchecked.
const mostLedgers = 10_000

func (c *client) ledger(topic []byte) *ledger {
	if c.recent != nil && string(topic) == c.recent.topic {
		return c.recent
	}
	l := c.ledgers[string(topic)]
	if l == nil {
		if len(c.ledgers) >= mostLedgers {
			return nil
		}
		l = c.addLedger(c.swarm.intern(topic), c.floorSince(string(topic)))
	}
	c.recent = l
	return l
}

func (c *client) addLedger(topic string, floor int64) *ledger {
	if c.ledgers == nil {
		c.ledgers = make(map[string]*ledger, 1)
	}
	l := newLedger(topic, floor)
	c.ledgers[topic] = l
	return l
}

// snapshot keeps, for topics that are subscribed by name, how far their numbering is when the client begins to listen.
func (c *client) snapshot() {
	if !c.set.literal || c.swarm.published == nil || c.catchingUp {
		return
	}
	for _, topic := range c.set.topics {
		if floor := c.swarm.published.floor(topic); floor > 0 && len(c.ledgers) < mostLedgers {
			c.addLedger(topic, floor)
		}
	}
}

func (c *client) floorSince(topic string) int64 {
	if c.swarm.published == nil || c.gapped || c.servedNs == 0 {
		return -1
	}
	return c.swarm.published.floorSince(topic, c.servedNs)
}

// behind tells how many events are missing up to the counts. Who was never served has nothing to miss.
func (c *client) behind(e *expectation) (missing int64) {
	c.shard.Lock()
	defer c.shard.Unlock()
	return c.eachBehind(e, func(*ledger, int64) {})
}

// loseTail counts what has not come as lost.
func (c *client) loseTail(e *expectation) int64 {
	c.shard.Lock()
	defer c.shard.Unlock()
	missing := c.eachBehind(e, func(l *ledger, count int64) {
		// What comes after all is then late and not twice.
		l.skip(count-l.behind(count)+1, count, &c.shard.faults)
		l.began, l.last = true, count
	})
	c.shard.tailLost += missing
	return missing
}

func (c *client) eachBehind(e *expectation, found func(l *ledger, count int64)) (missing int64) {
	if c.servedNs == 0 {
		return 0
	}
	for topic, count := range e.counts[c.set] {
		l := c.ledgers[topic]
		if l == nil {
			floor := c.floorSince(topic)
			if floor < 0 && e.strict {
				floor = count - 1
			}
			if floor < 0 {
				continue
			}
			if floor > 0 {
				// No ledger yet: its first event may be any.
				missing += count - floor
				found(newLedger(topic, floor), count)
				continue
			}
			l = c.addLedger(c.swarm.intern([]byte(topic)), 0)
		}
		if behind := l.behind(count); behind > 0 {
			missing += behind
			found(l, count)
		}
	}
	return missing
}
