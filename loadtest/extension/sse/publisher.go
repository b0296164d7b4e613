package sse

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// publisher publishes numbered, timed events at a steady rate, over HTTP.
//
// A topic belongs to one worker, which sends its next events only when the ones before are stored: so the numbers stand
// in the log in their order. Events that were not acknowledged are sent again with the same ids, so that an outage is
// neither a loss nor a duplicate. Several events go as one batch that is stored all or not at all.
type publisher struct {
	options   *publisherOptions
	client    *http.Client
	published *published
	prefix    string // of ids, the same within a run and no other
	report    func(*publishWindow)

	context   context.Context
	cancel    context.CancelFunc
	ended     chan struct{}
	left      atomic.Int64
	endsAt    time.Time
	reporting sync.Mutex
	window    publishWindow
	totals    publishTotals
	err       error
	own       map[string]int64
}

// publishWindow is what was counted since the last report.
type publishWindow struct {
	stored, requests, retries int64
	duration                  histogram
}

type publishTotals struct {
	stored, retries int64
	duration        histogram
	began           time.Time
	seconds         float64
}

func startPublisher(parent context.Context, o *publisherOptions, client *http.Client, known *published, prefix string,
	report func(*publishWindow)) *publisher {
	p := &publisher{options: o, client: client, published: known, prefix: prefix, report: report,
		ended: make(chan struct{}), own: map[string]int64{}}
	p.context, p.cancel = context.WithCancel(parent)
	p.left.Store(o.count)
	p.totals.began = time.Now()
	if o.duration > 0 {
		p.endsAt = time.Now().Add(o.duration)
	}
	var workers sync.WaitGroup
	count := min(o.workers, len(o.topics))
	for i := range count {
		var topics []string
		for at := i; at < len(o.topics); at += count {
			topics = append(topics, o.topics[at])
		}
		w := &publishWorker{publisher: p, topics: topics, rate: o.rate * float64(len(topics)) / float64(len(o.topics))}
		workers.Go(func() {
			if err := w.run(); err != nil {
				p.fail(err)
			}
		})
	}
	go func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		done := make(chan struct{})
		go func() { workers.Wait(); close(done) }()
		for {
			select {
			case <-tick.C:
				p.flush()
			case <-done:
				p.totals.seconds = time.Since(p.totals.began).Seconds()
				p.flush()
				p.cancel()
				close(p.ended)
				return
			}
		}
	}()
	return p
}

func (p *publisher) fail(err error) {
	p.reporting.Lock()
	if p.err == nil {
		p.err = err
	}
	p.reporting.Unlock()
	p.cancel()
}

func (p *publisher) flush() {
	p.reporting.Lock()
	defer p.reporting.Unlock()
	p.totals.stored += p.window.stored
	p.totals.retries += p.window.retries
	if p.report != nil {
		p.report(&p.window)
	}
	p.totals.duration.merge(&p.window.duration)
	p.window = publishWindow{}
}
