package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type publishOptions struct {
	nats, http, subject, token string
	rate                       float64
	count, first               int64
	topics, size               int
	duration                   time.Duration
	workers, lines, window     int
	raw                        bool
}

// publishReport is what is printed. Stored is what was acknowledged as stored, event by event.
type publishReport struct {
	Sent           int64        `json:"sent"`
	Stored         int64        `json:"stored"`
	Errors         int64        `json:"errors"`
	LastError      string       `json:"lastError,omitempty"`
	Seconds        float64      `json:"seconds"`
	PerSecond      float64      `json:"perSecond"`
	AcknowledgedMs *percentiles `json:"acknowledgedMs,omitempty"`
	CPUSeconds     float64      `json:"cpuSeconds"`
}

func readPublishOptions(args []string) (*publishOptions, error) {
	o := &publishOptions{}
	f := flag.NewFlagSet("publish", flag.ContinueOnError)
	f.StringVar(&o.nats, "nats", "", "host:port of NATS: publish to JetStream; loopback only")
	f.StringVar(&o.http, "http", "", "host:port/path: publish by POST; %d in the path is the topic's index; loopback only")
	f.StringVar(&o.subject, "subject", "bench.%d", "topic, %d is its index, %h its hundreds; JetStream's subject is events.<topic>")
	f.StringVar(&o.token, "token", "", "bearer token for -http")
	f.IntVar(&o.topics, "topics", 1, "topics, taken in turn")
	f.Float64Var(&o.rate, "rate", 0, "events per second over all topics; 0: as fast as they are acknowledged")
	f.Int64Var(&o.count, "count", 0, "end after this many; 0: no limit")
	f.DurationVar(&o.duration, "duration", 0, "end after this time; 0: no limit")
	f.Int64Var(&o.first, "first", 1, "first number of each topic")
	f.IntVar(&o.size, "size", 100, "bytes of padding per event")
	f.IntVar(&o.window, "window", 4096, "events without an acknowledgement at a time, -nats")
	f.IntVar(&o.workers, "workers", 1, "connections, -http; more than one lose the order")
	f.IntVar(&o.lines, "lines", 0, "events per request as NDJSON, -http; 0: one as JSON")
	f.BoolVar(&o.raw, "raw", false, "send the payload alone, -http: for servers that have the topic in the path")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if (o.nats == "") == (o.http == "") {
		return nil, errors.New("give one of -nats and -http")
	}
	if o.count == 0 && o.duration == 0 {
		return nil, errors.New("give -count or -duration")
	}
	address, _, _ := strings.Cut(o.nats+o.http, "/")
	_, err := loopback(address)
	return o, err
}

func publish(args []string) (any, error) {
	o, err := readPublishOptions(args)
	if err != nil {
		return nil, err
	}
	var stop atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		stop.Store(true)
	}()
	events := newEventSource(o)
	began := time.Now()
	var report *publishReport
	if o.nats != "" {
		report, err = publishToLog(o, events, &stop)
	} else {
		report, err = publishOverHTTP(o, events, &stop)
	}
	if err != nil {
		return nil, err
	}
	report.Seconds = round(time.Since(began).Seconds(), 3)
	report.PerSecond = round(float64(report.Stored)/time.Since(began).Seconds(), 0)
	report.CPUSeconds = round(cpuSeconds(), 3)
	return report, nil
}

// eventSource makes numbered, timed events for each topic in turn.
type eventSource struct {
	topics  []string
	numbers []int64
	padding []byte
	made    int64
}

func newEventSource(o *publishOptions) *eventSource {
	s := &eventSource{padding: bytes.Repeat([]byte("x"), o.size)}
	for i := range o.topics {
		names := strings.NewReplacer("%d", strconv.Itoa(i), "%h", strconv.Itoa(i/100))
		s.topics = append(s.topics, names.Replace(o.subject))
		s.numbers = append(s.numbers, o.first-1)
	}
	return s
}

// next appends the payload of the next event to `to`.
func (s *eventSource) next(to []byte) (topic int, payload []byte) {
	topic = int(s.made % int64(len(s.topics)))
	s.made++
	s.numbers[topic]++
	to = append(to, `{"n":`...)
	to = strconv.AppendInt(to, s.numbers[topic], 10)
	to = append(to, `,"t":`...)
	to = strconv.AppendInt(to, time.Now().UnixNano(), 10)
	to = append(to, `,"p":"`...)
	to = append(to, s.padding...)
	return topic, append(to, `"}`...)
}

// pace tells how many events are due. Events wait at most half a millisecond for their turn, so that they come evenly.
type pace struct {
	options *publishOptions
	began   time.Time
	sent    int64
}

const paceTurn = 500 * time.Microsecond

// due waits until at least one event is due; 0 at the end.
func (p *pace) due(stop *atomic.Bool, most int64) int64 {
	for !stop.Load() {
		elapsed := time.Since(p.began)
		if p.options.duration > 0 && elapsed >= p.options.duration {
			return 0
		}
		due := most
		if p.options.rate > 0 {
			due = min(most, int64(elapsed.Seconds()*p.options.rate)-p.sent)
		}
		if p.options.count > 0 {
			if p.sent >= p.options.count {
				return 0
			}
			due = min(due, p.options.count-p.sent)
		}
		if due > 0 {
			p.sent += due
			return due
		}
		time.Sleep(paceTurn)
	}
	return 0
}

func (r *publishReport) failed(format string, values ...any) {
	r.Errors++
	r.LastError = fmt.Sprintf(format, values...)
}
