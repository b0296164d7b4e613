package main

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// ackPatience is how long the last acknowledgements may take.
const ackPatience = 10 * time.Second

// publishToLog sends to JetStream and checks every acknowledgement. All have one reply subject: they need only be
// counted, and a future per event would cost more than the event.
func publishToLog(o *publishOptions, events *eventSource, stop *atomic.Bool) (*publishReport, error) {
	nc, err := nats.Connect("nats://"+o.nats, nats.Name("load generator"))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	report := &publishReport{}
	inbox := nc.NewInbox()
	var answered atomic.Int64
	room := make(chan struct{}, 1)
	subscription, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		// Only this callback writes these two, and they are read when it has ended.
		if len(m.Data) == 0 || bytes.Contains(m.Data, []byte(`"error"`)) {
			report.failed("%s %s", m.Header.Get("Status"), m.Data)
		} else {
			report.Stored++
		}
		answered.Add(1)
		select {
		case room <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	_ = subscription.SetPendingLimits(-1, -1)
	subjects := make([]string, len(events.topics))
	for i, topic := range events.topics {
		subjects[i] = "events." + topic
	}
	waitForRoom := func(most int64) bool {
		deadline := time.After(ackPatience)
		for report.Sent-answered.Load() > most {
			select {
			case <-room:
			case <-deadline:
				return false
			}
		}
		return true
	}
	var payload []byte
	pace := &pace{options: o, began: time.Now()}
	for {
		due := pace.due(stop, 64)
		if due == 0 {
			break
		}
		for range due {
			var topic int
			topic, payload = events.next(payload[:0])
			if err := nc.PublishRequest(subjects[topic], inbox, payload); err != nil {
				return nil, err
			}
			report.Sent++
		}
		if report.Sent-answered.Load() > int64(o.window) && !waitForRoom(int64(o.window/2)) {
			return nil, errors.New("JetStream has not acknowledged anything for 10 s")
		}
	}
	if err := nc.Flush(); err != nil {
		return nil, err
	}
	all := waitForRoom(0)
	_ = subscription.Unsubscribe()
	if !all {
		report.failed("%d events were not acknowledged", report.Sent-answered.Load())
	}
	return report, nil
}
