package sse

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

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
