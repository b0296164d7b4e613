package sse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// publisherOptions are what a publisher is made of; options.go reads them from the script.
type publisherOptions struct {
	target  *target
	topics  []string
	kind    string // the events' type; empty: none
	fields  string // more JSON members of each event's data, without braces
	token   string
	headers [][2]string

	rate     float64 // events per second over all topics; 0: as fast as they are acknowledged
	count    int64   // events over all topics; 0: no limit
	duration time.Duration
	workers  int
	lines    int // most events per request
	timeout  time.Duration
}

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

// publishWorker has topics of its own, and takes them in turn.
type publishWorker struct {
	publisher *publisher
	topics    []string
	rate      float64
	next      int
	sent      int64
	alone     bool // the server does not store batches as a whole
	body      bytes.Buffer
}

type stamped struct {
	progress *progress
	topic    string
	n        int64
}

func (w *publishWorker) run() error {
	began := time.Now()
	for {
		count := w.due(began)
		if count == 0 {
			return nil
		}
		events := w.prepare(count)
		if err := w.store(len(events)); err != nil {
			if w.publisher.context.Err() != nil {
				return nil
			}
			return err
		}
		p := w.publisher
		p.reporting.Lock()
		p.window.stored += int64(len(events))
		for _, e := range events {
			e.progress.stored.Store(e.n)
			p.own[e.topic] = e.n
		}
		p.reporting.Unlock()
	}
}

const paceTurn = time.Millisecond

// due waits until at least one event is due; 0 at the end.
func (w *publishWorker) due(began time.Time) int {
	p := w.publisher
	most := int64(p.options.lines)
	if w.alone {
		most = 1
	}
	for p.context.Err() == nil && (p.endsAt.IsZero() || time.Now().Before(p.endsAt)) {
		due := most
		if w.rate > 0 {
			due = min(due, int64(time.Since(began).Seconds()*w.rate)+1-w.sent)
		}
		if due > 0 && p.options.count > 0 {
			left := p.left.Add(-due)
			if left < 0 {
				due = max(0, due+left)
				if due == 0 {
					return 0
				}
			}
		}
		if due > 0 {
			w.sent += due
			return int(due)
		}
		time.Sleep(paceTurn)
	}
	return 0
}

// prepare writes the body for the next events.
func (w *publishWorker) prepare(count int) []stamped {
	p := w.publisher
	w.body.Reset()
	events := make([]stamped, count)
	for i := range events {
		topic := w.topics[w.next%len(w.topics)]
		w.next++
		progress := p.published.of(topic)
		n := progress.issued.Add(1)
		events[i] = stamped{progress, topic, n}
		if i > 0 {
			w.body.WriteByte('\n')
		}
		fmt.Fprintf(&w.body, `{"topic":%q,"id":"%s-%s-%d",`, topic, p.prefix, topic, n)
		if p.options.kind != "" {
			fmt.Fprintf(&w.body, `"type":%q,`, p.options.kind)
		}
		fmt.Fprintf(&w.body, `"data":{"n":%d,"t":%d`, n, time.Now().UnixNano())
		if p.options.fields != "" {
			w.body.WriteByte(',')
			w.body.WriteString(p.options.fields)
		}
		w.body.WriteString("}}")
	}
	return events
}

const (
	firstPause = 50 * time.Millisecond
	mostPause  = time.Second
)

var (
	errNotStored = errors.New("not stored")
	errNoBatches = errors.New("publishing was refused with 501: batches can't be stored as a whole here")
)

// store sends the body until it is acknowledged. An error is one that another try does not mend.
func (w *publishWorker) store(count int) error {
	p := w.publisher
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		began := time.Now()
		err := w.post(count)
		took := time.Since(began).Nanoseconds()
		p.reporting.Lock()
		p.window.requests++
		if err == nil {
			p.window.duration.record(took)
		} else {
			p.window.retries++
		}
		p.reporting.Unlock()
		if errors.Is(err, errNoBatches) && count > 1 {
			return w.storeAlone()
		}
		if err == nil || !errors.Is(err, errNotStored) {
			return err
		}
		if !sleep(p.context, pause) {
			return err
		}
	}
}

// storeAlone sends the events of a batch one by one, and so will those be that follow.
func (w *publishWorker) storeAlone() error {
	w.alone = true
	for _, line := range bytes.Split(bytes.Clone(w.body.Bytes()), []byte{'\n'}) {
		w.body.Reset()
		w.body.Write(line)
		if err := w.store(1); err != nil {
			return err
		}
	}
	return nil
}

// post is one try; an error that is errNotStored is worth another one.
func (w *publishWorker) post(count int) error {
	p := w.publisher
	path, kind := p.options.target.path, "application/json"
	if count > 1 {
		path, kind = p.options.target.withQuery("atomic=true"), "application/x-ndjson"
	}
	// A try that is under way is waited for when the run ends: what it stores has to be known.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.context), p.options.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.options.target.origin()+path,
		bytes.NewReader(w.body.Bytes()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	if p.options.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.options.token)
	}
	for _, h := range p.options.headers {
		request.Header.Set(h[0], h[1])
	}
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	return judge(response.StatusCode, body, count)
}

func judge(status int, body []byte, count int) error {
	switch {
	case status >= 200 && status < 300:
		if count > 1 && bytes.Count(bytes.TrimSpace(body), []byte{'\n'}) != count-1 {
			return fmt.Errorf("%w: %d events were answered with other than %d lines", errNotStored, count, count)
		}
		if bytes.Contains(body, []byte(`"error":`)) {
			return fmt.Errorf("%w: %.200s", errNotStored, body)
		}
		return nil
	case status == 429 || status == 408 || status >= 500 && status != 501:
		return fmt.Errorf("%w: status %d", errNotStored, status)
	case status == 501:
		return errNoBatches
	}
	var problem struct{ Title, Detail string }
	_ = json.Unmarshal(body, &problem)
	return errors.New("publishing was refused with " + strconv.Itoa(status) + ": " + problem.Title + " " + problem.Detail)
}
