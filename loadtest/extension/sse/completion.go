package sse

import (
	"slices"
	"time"
)

// expectation is what clients with the same topics must have.
type expectation struct {
	counts map[*topicSet]map[string]int64
	// Whoever has seen nothing of a topic must at least get its last event: the script says so, although this process
	// knows nothing of the topic.
	strict bool
}

// expect sorts the counts by the topic sets that cover them.
func (s *swarm) expect(counts map[string]int64, strict bool) *expectation {
	e := &expectation{strict: strict, counts: map[*topicSet]map[string]int64{}}
	for _, set := range s.options.sets {
		if e.counts[set] != nil {
			continue
		}
		mine := map[string]int64{}
		for topic, count := range counts {
			if set.covers(topic) {
				mine[topic] = count
			}
		}
		e.counts[set] = mine
	}
	return e
}

const lookEvery = 20 * time.Millisecond

// complete waits until every client has each number up to the counts. What has not come within `patience` is lost; it
// returns how much that is. Slow readers catch up meanwhile.
func (s *swarm) complete(counts map[string]int64, strict bool, patience time.Duration) (missing int64) {
	s.hurry()
	e := s.expect(counts, strict)
	deadline := time.Now().Add(patience)
	for next := 0; ; {
		// Whoever was complete stays so: each look goes on where the last one ended.
		for next < len(s.clients) && s.clients[next].behind(e) == 0 {
			next++
		}
		if next == len(s.clients) {
			return 0
		}
		if time.Now().After(deadline) || !sleep(s.context, lookEvery) {
			break
		}
	}
	for i := range s.clients {
		missing += s.clients[i].loseTail(e)
	}
	return missing
}

// present waits until it has seen each client with an open stream, not all at the same time: at any moment some may be
// on their way from one connection to the next. It returns how many it has not seen within `patience`.
func (s *swarm) present(patience time.Duration) (away int) {
	unseen := make([]*client, 0, len(s.clients))
	for i := range s.clients {
		unseen = append(unseen, &s.clients[i])
	}
	for deadline := time.Now().Add(patience); ; {
		unseen = slices.DeleteFunc(unseen, (*client).isServed)
		if len(unseen) == 0 || time.Now().After(deadline) || !sleep(s.context, lookEvery) {
			return len(unseen)
		}
	}
}
