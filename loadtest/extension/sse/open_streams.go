package sse

import (
	"sync"

	"go.k6.io/k6/metrics"
)

// openStreams adds up the open streams of swarms with the same tags: to k6 they are one time series, whose value is
// that of the last sample.
type openStreams struct {
	lock   sync.Mutex
	byTags map[*metrics.TagSet]map[*swarm]int
}

// set notes what a swarm has open now, and returns the sum over all swarms with its tags.
func (o *openStreams) set(tags *metrics.TagSet, s *swarm, open int) (sum int) {
	o.lock.Lock()
	defer o.lock.Unlock()
	swarms := o.byTags[tags]
	if swarms == nil {
		if o.byTags == nil {
			o.byTags = map[*metrics.TagSet]map[*swarm]int{}
		}
		swarms = map[*swarm]int{}
		o.byTags[tags] = swarms
	}
	swarms[s] = open
	if open == 0 {
		delete(swarms, s)
	}
	for _, count := range swarms {
		sum += count
	}
	return sum
}
