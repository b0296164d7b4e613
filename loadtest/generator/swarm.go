package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// swarm runs all connections in one thread:
//
//  1. open    new connections, as many as the ramp and the limit of unanswered ones allow
//  2. reopen  those that were closed, when their retry time is over
//  3. wait    for sockets, and feed what they have to their streams
//  4. mark    begin and end of the measured window; end when everything has come
type swarm struct {
	options     *subscribeOptions
	epoll       int
	connections []connection
	buffer      []byte
	tally       tally
	again       map[int64][]int32 // to be reopened, by the tick in which they are due
	lastTick    int64

	begun, settled, opened, waiting            int
	failed, refused, closed, reconnects, ended int
	connectTime, firstBlock                    histogram
	began, allOpen, completed                  int64
	woken                                      int64
	measuring, measureDone                     bool
	cpuAtOpen                                  float64
	measuredCPU                                float64
	stop                                       atomic.Bool
}

const (
	tickNs        = int64(10 * time.Millisecond)
	firstRetryMs  = 1000
	openPerTurn   = 256
	eventsPerTurn = 1024
	readBytes     = 256 << 10
)

func newSwarm(options *subscribeOptions) (*swarm, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	s := &swarm{
		options:     options,
		epoll:       epoll,
		connections: make([]connection, options.number),
		buffer:      make([]byte, readBytes),
		again:       map[int64][]int32{},
	}
	s.tally = tally{
		byTopic: options.byTopic, first: options.first, until: options.until, topics: map[string]int32{},
		warmNs: options.warm.Nanoseconds(), durationNs: options.duration.Nanoseconds(),
	}
	for i := range s.connections {
		c := &s.connections[i]
		c.fd, c.index, c.ledger = -1, int32(i), *newLedger(options.first)
		// Spread evenly, so that no group of neighbours is all stalled.
		c.stalled = (i+1)*options.stalled/options.number > i*options.stalled/options.number
		c.stream.lastID = []byte(options.lastEventID)
		c.stream.retryMs = firstRetryMs
	}
	return s, nil
}

func (s *swarm) run() {
	events := make([]unix.EpollEvent, eventsPerTurn)
	s.began = time.Now().UnixNano()
	s.lastTick = s.began / tickNs
	for !s.stop.Load() {
		now := time.Now().UnixNano()
		s.openMore(now)
		s.reopen(now)
		n := s.wait(events, s.patience(now))
		// What epoll reports has arrived. Time that this thread takes to get to it is its own, not the server's.
		s.woken = time.Now().UnixNano()
		for i := 0; i < n; i++ {
			if c := &s.connections[events[i].Fd]; c.fd >= 0 && c.opens == events[i].Pad {
				s.wake(c, events[i].Events)
			}
		}
		if s.mark(time.Now().UnixNano()) {
			return
		}
	}
}

// wait is the bare system call: Go's scheduler would give this thread's place away and take it back each time (measured
// at 25,000 reads a second: a fifth of the CPU). Gosched lets the goroutine run that waits for signals.
func (s *swarm) wait(events []unix.EpollEvent, ms int) int {
	runtime.Gosched()
	n, _, err := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.epoll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(ms), 0, 0)
	if err != 0 {
		return 0
	}
	return int(n)
}

func (s *swarm) patience(now int64) int {
	if s.begun < len(s.connections) {
		return 1
	}
	if len(s.again) > 0 || s.measuring != s.measureDone {
		return 5
	}
	return 20
}

func (s *swarm) openMore(now int64) {
	count := len(s.connections) - s.begun
	if s.options.ramp > 0 {
		count = min(count, int(float64(now-s.began)/1e9*s.options.ramp)+1-s.begun)
	}
	if s.options.opening > 0 {
		count = min(count, s.options.opening-s.waiting)
	}
	for range min(count, openPerTurn) {
		s.open(&s.connections[s.begun])
		s.begun++
	}
}

func (s *swarm) open(c *connection) {
	c.beganNs = time.Now().UnixNano()
	if err := c.connect(s.epoll, &s.options.server, s.options.source(int(c.index))); err != nil {
		s.drop(c)
		return
	}
	s.waiting++
}

func (s *swarm) reopen(now int64) {
	tick := now / tickNs
	if len(s.again) == 0 {
		s.lastTick = tick
		return
	}
	for ; s.lastTick < tick; s.lastTick++ {
		due := s.again[s.lastTick]
		delete(s.again, s.lastTick)
		for _, index := range due {
			s.reconnects++
			s.open(&s.connections[index])
		}
	}
}

func (s *swarm) wake(c *connection, events uint32) {
	if !c.sent {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			s.drop(c)
			return
		}
		if events&unix.EPOLLOUT == 0 {
			return
		}
		c.sent = true
		if c.request(s.options.path(int(c.index)), s.options.address, s.options.headers(int(c.index))) != nil {
			s.drop(c)
			return
		}
	}
	if c.stalled && c.greeted {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			s.drop(c)
		}
		return
	}
	for {
		n, err := c.read(s.buffer)
		if n <= 0 || err != 0 {
			if err == unix.EAGAIN || err == unix.EINTR {
				return
			}
			s.drop(c)
			return
		}
		if s.take(c, s.buffer[:n]); c.fd < 0 || n < len(s.buffer) || c.stalled && c.greeted {
			break
		}
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && c.fd >= 0 && !c.stalled {
		s.finish(c)
	}
}

// finish reads what is left of a connection that the server has closed.
func (s *swarm) finish(c *connection) {
	for {
		n, err := c.read(s.buffer)
		if n <= 0 || err != 0 {
			s.drop(c)
			return
		}
		if s.take(c, s.buffer[:n]); c.fd < 0 {
			return
		}
	}
}

func (s *swarm) take(c *connection, data []byte) {
	now := s.woken
	if s.measuring && !s.measureDone {
		s.tally.measuredBytes += int64(len(data))
	}
	s.tally.current = c
	c.stream.feed(data, now, &s.tally)
	if r := &c.stream.response; !c.open && r.phase != inHead {
		if r.status != 200 || r.phase == broken {
			s.refused++
			s.settle(c)
			s.drop(c)
			return
		}
		c.open = true
		s.opened++
		s.waiting--
		s.connectTime.record(now - c.beganNs)
		s.settle(c)
	}
	if !c.greeted && c.stream.blocks > 0 {
		c.greeted = true
		s.firstBlock.record(now - c.beganNs)
		if c.stalled {
			c.stopReading(s.epoll)
		}
	}
	if phase := c.stream.response.phase; phase == ended || phase == broken {
		s.drop(c)
	}
}

// settle counts a connection once, for "all are open".
func (s *swarm) settle(c *connection) {
	if !c.settled {
		c.settled = true
		s.settled++
	}
}

func (s *swarm) drop(c *connection) {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
		if c.open {
			s.opened--
			s.closed++
		} else {
			s.waiting--
		}
	}
	if !c.open && c.stream.response.status == 0 {
		s.failed++
	}
	c.open = false
	if !s.options.reconnect || c.stalled {
		s.settle(c)
		s.ended++
		return
	}
	// Whoever comes back at the same time as everybody else comes back in vain.
	wait := float64(c.stream.retryMs) * (1 + s.options.retryJitter*(2*rand.Float64()-1))
	due := (time.Now().UnixNano()+int64(wait*1e6))/tickNs + 1
	s.again[due] = append(s.again[due], c.index)
}

// mark tells standard error what has been reached, and returns true at the end.
func (s *swarm) mark(now int64) bool {
	t, o := &s.tally, s.options
	if s.allOpen == 0 && s.settled == len(s.connections) {
		s.allOpen = now
		tell("open %d of %d in %.3f s", s.opened, len(s.connections), float64(now-s.began)/1e9)
	}
	if !s.measuring && t.opens > 0 && now >= t.opens {
		s.measuring = true
		s.cpuAtOpen = cpuSeconds()
		tell("measuring")
	}
	if s.measuring && !s.measureDone && now >= t.closes {
		s.measureDone = true
		s.measuredCPU = cpuSeconds() - s.cpuAtOpen
		tell("measured")
	}
	if o.timeout > 0 && now-s.began > o.timeout.Nanoseconds() {
		tell("timeout")
		return true
	}
	if s.completed == 0 && s.complete() {
		s.completed = now
		tell("complete")
	}
	// What comes after the last event is a fault, and has to get the chance to come.
	return s.completed > 0 && now-s.completed > o.linger.Nanoseconds()
}

func (s *swarm) complete() bool {
	o, t := s.options, &s.tally
	switch {
	case o.forever || s.allOpen == 0:
		return false
	case o.untilEvents > 0:
		return t.events >= o.untilEvents || s.ended == len(s.connections)
	case o.until > 0:
		return t.reached >= len(s.connections)-o.stalled || s.ended == len(s.connections)
	}
	return s.measureDone || s.ended == len(s.connections)
}

func tell(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
