package main

// tally adds up what all streams have seen. It is the streams' observer.
type tally struct {
	faults
	events       int64
	idDisordered int64
	controls     [controlKinds]int64
	latency      histogram

	byTopic bool
	first   int64
	until   int64
	reached int
	topics  map[string]int32

	// The measured window: from `opens` (0: not known yet) until `closes`, nanoseconds since 1970.
	warmNs, durationNs int64
	opens, closes      int64
	measured           int64
	measuredBytes      int64

	now     int64
	current *connection
}

func (t *tally) event(s *stream, now int64) {
	t.events++
	c := t.current
	c.events++
	if t.opens == 0 {
		t.opens = now + t.warmNs
		t.closes = t.opens + t.durationNs
	}
	if now >= t.opens && now < t.closes {
		t.measured++
		if s.t > 0 {
			t.latency.record(now - s.t)
		}
	}
	l := &c.ledger
	if t.byTopic {
		l = c.topicLedger(s.topic, t.first)
	}
	l.take(s.n, &t.faults)
	if s.n > c.last {
		c.last = s.n
		if t.until > 0 && c.last >= t.until && c.reachedNs == 0 {
			c.reachedNs = now
			t.reached++
		}
	}
}

func (t *tally) controlled(s *stream) { t.controls[s.control]++ }

func (t *tally) disordered(*stream) { t.idDisordered++ }

// topicIndex gives each topic a small number, so that its name is kept once and not on every connection.
func (t *tally) topicIndex(data []byte) int32 {
	if !t.byTopic {
		return 0
	}
	name := topicName(data)
	index, known := t.topics[string(name)]
	if !known {
		index = int32(len(t.topics))
		t.topics[string(name)] = index
	}
	return index
}
