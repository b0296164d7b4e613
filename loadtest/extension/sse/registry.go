package sse

import (
	"sync"
	"sync/atomic"
	"time"
)

// published knows how far this process's publishers are in the numbering of each topic. Swarms of the same process use
// it to tell what has to come: a number that was given out after a client began to listen.
type published struct {
	lock   sync.RWMutex
	topics map[string]*progress
}

// progress of one topic. Issued is the last number given out, stored the last one that was acknowledged.
type progress struct {
	issued, stored atomic.Int64
	beganNs        int64
}

func newPublished() *published { return &published{topics: map[string]*progress{}} }

// of begins a topic when it is new.
func (p *published) of(topic string) *progress {
	p.lock.Lock()
	defer p.lock.Unlock()
	known := p.topics[topic]
	if known == nil {
		known = &progress{beganNs: time.Now().UnixNano()}
		p.topics[topic] = known
	}
	return known
}

// floor is the last number given out so far: a client that listens by now must get the ones after it.
func (p *published) floor(topic string) int64 {
	p.lock.RLock()
	defer p.lock.RUnlock()
	if known := p.topics[topic]; known != nil {
		return known.issued.Load()
	}
	return 0
}

// floorSince is 0 when the topic began after `ns`, and -1 (not known) otherwise.
func (p *published) floorSince(topic string, ns int64) int64 {
	p.lock.RLock()
	defer p.lock.RUnlock()
	if known := p.topics[topic]; known != nil && known.beganNs > ns {
		return 0
	}
	return -1
}

// counts are the numbers stored so far, of each topic that has any.
func (p *published) counts() map[string]int64 {
	p.lock.RLock()
	defer p.lock.RUnlock()
	counts := make(map[string]int64, len(p.topics))
	for topic, known := range p.topics {
		if stored := known.stored.Load(); stored > 0 {
			counts[topic] = stored
		}
	}
	return counts
}
