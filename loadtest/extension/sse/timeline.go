package sse

import (
	"sync"
	"time"
)

// timeline keeps what the report draws: a point per second, fewer when a run is long.
type timeline struct {
	lock   sync.Mutex
	points []point
	step   int64 // seconds per point
}

// point sums over all swarms and publishers of the process. Times are in milliseconds.
type point struct {
	second                          int64
	events, published               int64
	reconnects, lost, dup, disorder int64
	p50, p99                        float64
	openBy                          map[*swarm]int
}

const mostPoints = 3600

func (t *timeline) at(change func(*point)) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.step = max(1, t.step)
	second := time.Now().Unix() / t.step * t.step
	if len(t.points) == 0 || t.points[len(t.points)-1].second < second {
		if len(t.points) >= mostPoints {
			t.halve()
			second = time.Now().Unix() / t.step * t.step
		}
		t.points = append(t.points, point{second: second, openBy: map[*swarm]int{}})
	}
	change(&t.points[len(t.points)-1])
}

func (t *timeline) halve() {
	t.step *= 2
	kept := t.points[:0]
	for _, p := range t.points {
		p.second = p.second / t.step * t.step
		if len(kept) == 0 || kept[len(kept)-1].second < p.second {
			kept = append(kept, p)
			continue
		}
		last := &kept[len(kept)-1]
		last.events += p.events
		last.published += p.published
		last.reconnects += p.reconnects
		last.lost, last.dup, last.disorder = last.lost+p.lost, last.dup+p.dup, last.disorder+p.disorder
		last.p50, last.p99 = max(last.p50, p.p50), max(last.p99, p.p99)
		last.openBy = p.openBy
	}
	t.points = kept
}

func (p *point) saw(s *swarm, open int, w *totals) {
	p.openBy[s] = open
	p.events += w.events
	p.reconnects += w.reconnects
	p.lost += w.lost
	p.dup += w.duplicated
	p.disorder += w.outOfOrder
	if w.latency.total > 0 {
		p.p50, p.p99 = max(p.p50, w.latency.percentile(0.5)), max(p.p99, w.latency.percentile(0.99))
	}
}

// rows are columns of numbers for the report, rates per second.
func (t *timeline) rows() []map[string]any {
	t.lock.Lock()
	defer t.lock.Unlock()
	rows := make([]map[string]any, 0, len(t.points))
	for _, p := range t.points {
		open := 0
		for _, count := range p.openBy {
			open += count
		}
		step := float64(t.step)
		rows = append(rows, map[string]any{
			"second": p.second - t.points[0].second, "open": open, "eventsPerSecond": float64(p.events) / step,
			"publishedPerSecond": float64(p.published) / step, "reconnects": p.reconnects,
			"lost": p.lost, "duplicated": p.dup, "outOfOrder": p.disorder, "p50": p.p50, "p99": p.p99,
		})
	}
	return rows
}
