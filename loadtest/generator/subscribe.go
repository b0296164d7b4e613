package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type subscribeOptions struct {
	address, template, extraHeaders string
	lastEventID                     string
	number, sources, stalled        int
	topics, opening                 int
	ramp, retryJitter               float64
	warm, duration, timeout, linger time.Duration
	first, until, untilEvents       int64
	byTopic, reconnect, forever     bool

	paths, tokens []string
	server        unix.SockaddrInet4
}

func (o *subscribeOptions) path(index int) string {
	if len(o.paths) > 0 {
		return o.paths[index%len(o.paths)]
	}
	return strings.ReplaceAll(o.template, "%d", fmt.Sprint(index%o.topics))
}

func (o *subscribeOptions) headers(index int) string {
	if len(o.tokens) == 0 {
		return o.extraHeaders
	}
	return fmt.Sprintf("%sAuthorization: Bearer %s\r\n", o.extraHeaders, o.tokens[index%len(o.tokens)])
}

// source spreads connections over 127.0.0.2, 127.0.0.3, …: one address has only some 28,000 ports to connect from.
func (o *subscribeOptions) source(index int) *unix.SockaddrInet4 {
	if o.sources < 2 {
		return nil
	}
	i := index % o.sources
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte((i + 2) >> 8), byte(i + 2)}}
}

func readSubscribeOptions(args []string) (*subscribeOptions, error) {
	o := &subscribeOptions{}
	f := flag.NewFlagSet("subscribe", flag.ContinueOnError)
	var paths, tokens, headers string
	f.StringVar(&o.address, "address", "127.0.0.1:3001", "server, loopback only")
	f.StringVar(&o.template, "path", "/v1/events?topic=bench.%d", "path; %d is the topic's index")
	f.StringVar(&paths, "paths", "", "file with a path a line, instead of -path: connection i takes line i")
	f.StringVar(&tokens, "tokens", "", "file with a token a line: connection i sends line i as a bearer token")
	f.StringVar(&headers, "headers", "", "more headers, separated by |")
	f.IntVar(&o.topics, "topics", 1, "topics over which -path spreads the connections")
	f.IntVar(&o.number, "number", 100, "connections")
	f.Float64Var(&o.ramp, "ramp", 0, "connections opened per second; 0: all at once")
	f.IntVar(&o.opening, "opening", 0, "most connections without an answer at a time; 0: no limit")
	f.IntVar(&o.sources, "sources", 1, "source addresses, from 127.0.0.2")
	f.IntVar(&o.stalled, "stalled", 0, "connections among them that never read after the first block")
	f.StringVar(&o.lastEventID, "last-event-id", "", "position from which all start")
	f.BoolVar(&o.reconnect, "reconnect", false, "come back with Last-Event-ID after the server's retry time")
	f.Float64Var(&o.retryJitter, "retry-jitter", 0.25, "share by which the retry time is varied")
	f.BoolVar(&o.byTopic, "by-topic", false, "numbers are per topic, named in the events; else per connection")
	f.Int64Var(&o.first, "first", 0, "number that must come first; 0: any")
	f.DurationVar(&o.warm, "warm", 0, "from the first event until the measured window")
	f.DurationVar(&o.duration, "duration", 10*time.Second, "of the measured window")
	f.Int64Var(&o.until, "until", 0, "end when every connection has had this number")
	f.Int64Var(&o.untilEvents, "until-events", 0, "end when this many events have come over all")
	f.DurationVar(&o.linger, "linger", 300*time.Millisecond, "wait for duplicates after the end")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "end in any case")
	f.BoolVar(&o.forever, "forever", false, "end by SIGTERM only")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if o.number < 1 || o.topics < 1 || o.stalled < 0 || o.stalled > o.number {
		return nil, errors.New("-number and -topics must be 1 or more, -stalled at most -number")
	}
	server, err := loopback(o.address)
	if err != nil {
		return nil, err
	}
	o.server = unix.SockaddrInet4{Port: server.Port, Addr: [4]byte(server.IP.To4())}
	if headers != "" {
		o.extraHeaders = strings.ReplaceAll(headers, "|", "\r\n") + "\r\n"
	}
	if o.paths, err = readLines(paths); err != nil {
		return nil, err
	}
	if o.tokens, err = readLines(tokens); err != nil {
		return nil, err
	}
	return o, nil
}

func readLines(file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	var lines []string
	scanner := bufio.NewScanner(opened)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if scanner.Text() != "" {
			lines = append(lines, scanner.Text())
		}
	}
	if len(lines) == 0 && scanner.Err() == nil {
		return nil, fmt.Errorf("%s is empty", file)
	}
	return lines, scanner.Err()
}

// subscribeReport is what is printed: times in milliseconds unless they say otherwise.
type subscribeReport struct {
	Connections int `json:"connections"`
	Open        int `json:"open"`
	Failed      int `json:"failed"`
	Refused     int `json:"refused"`
	Closed      int `json:"closed"`
	Reconnects  int `json:"reconnects"`

	OpenSeconds  float64      `json:"openSeconds"`
	ConnectMs    *percentiles `json:"connectMs"`
	FirstBlockMs *percentiles `json:"firstBlockMs"`

	Events             int64        `json:"events"`
	MeasuredEvents     int64        `json:"measuredEvents"`
	MeasuredSeconds    float64      `json:"measuredSeconds"`
	EventsPerSecond    float64      `json:"eventsPerSecond"`
	MegabytesPerSecond float64      `json:"megabytesPerSecond"`
	LatencyMs          *percentiles `json:"latencyMs"`
	CompleteSeconds    float64      `json:"completeSeconds"`

	faults
	IDsOutOfOrder int64            `json:"idsOutOfOrder"`
	Controls      map[string]int64 `json:"controls"`
	Reached       int              `json:"reached"`
	Ledgers       int              `json:"ledgers"`
	FewestEvents  int64            `json:"fewestEvents"`
	MostEvents    int64            `json:"mostEvents"`
	LowestLast    int64            `json:"lowestLast"`
	HighestLast   int64            `json:"highestLast"`

	CPUSeconds         float64 `json:"cpuSeconds"`
	MeasuredCPUSeconds float64 `json:"measuredCpuSeconds"`
}

func subscribe(args []string) (any, error) {
	options, err := readSubscribeOptions(args)
	if err != nil {
		return nil, err
	}
	s, err := newSwarm(options)
	if err != nil {
		return nil, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		s.stop.Store(true)
	}()
	s.run()
	return s.report(time.Now().UnixNano()), nil
}

func (s *swarm) report(now int64) *subscribeReport {
	t := &s.tally
	r := &subscribeReport{
		Connections: len(s.connections), Open: s.opened, Failed: s.failed, Refused: s.refused, Closed: s.closed,
		Reconnects: s.reconnects, ConnectMs: s.connectTime.summary(), FirstBlockMs: s.firstBlock.summary(),
		Events: t.events, MeasuredEvents: t.measured, LatencyMs: t.latency.summary(), faults: t.faults,
		IDsOutOfOrder: t.idDisordered, Controls: map[string]int64{}, Reached: t.reached,
		OpenSeconds: since(s.began, s.allOpen), CompleteSeconds: since(s.began, s.completed),
		CPUSeconds: round(cpuSeconds(), 3), MeasuredCPUSeconds: round(s.measuredCPU, 3),
	}
	if s.completed > 0 {
		now = s.completed
	}
	if s.measuring && now > t.opens {
		r.MeasuredSeconds = float64(min(now, t.closes)-t.opens) / 1e9
		r.EventsPerSecond = math.Round(float64(t.measured) / r.MeasuredSeconds)
		r.MegabytesPerSecond = round(float64(t.measuredBytes)/r.MeasuredSeconds/1e6, 1)
	}
	for kind := positionControl; kind < controlKinds; kind++ {
		r.Controls[controlNames[kind]] = t.controls[kind]
	}
	s.reportExtremes(r)
	return r
}

// reportExtremes looks at the readers only: a stalled connection has nothing and is right so.
func (s *swarm) reportExtremes(r *subscribeReport) {
	r.FewestEvents, r.LowestLast = math.MaxInt64, math.MaxInt64
	last := func(l *ledger) {
		if l.last > 0 {
			r.Ledgers++
		}
		r.LowestLast, r.HighestLast = min(r.LowestLast, max(l.last, 0)), max(r.HighestLast, l.last)
	}
	for i := range s.connections {
		c := &s.connections[i]
		if c.stalled {
			continue
		}
		r.FewestEvents, r.MostEvents = min(r.FewestEvents, c.events), max(r.MostEvents, c.events)
		if !s.tally.byTopic {
			last(&c.ledger)
		}
		for _, l := range c.ledgers {
			last(l)
		}
	}
	if r.FewestEvents == math.MaxInt64 {
		r.FewestEvents = 0
	}
	if r.LowestLast == math.MaxInt64 {
		r.LowestLast = 0
	}
}

// since is in seconds; -1 when `then` has not come.
func since(began, then int64) float64 {
	if then == 0 {
		return -1
	}
	return round(float64(then-began)/1e9, 3)
}
