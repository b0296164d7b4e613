package sse

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type controlFunc func(network, address string, raw syscall.RawConn) error

// dialFunc opens a TCP connection from `local` (nil: any address).
type dialFunc func(ctx context.Context, local net.IP, control controlFunc, address string) (net.Conn, error)

// swarm is a crowd of clients, each with its own connection, position and check.
//
//  1. open     as many as the ramp and the limit of unanswered ones allow, each in a goroutine of its own
//  2. follow   a client waits for its socket and reads into its shard's buffer; it comes back as its policy says
//  3. report   once a second, what all have counted
//  4. close    all connections, and the last report
type swarm struct {
	options   *swarmOptions
	dial      dialFunc
	published *published
	report    func(window *totals, open int)

	context context.Context
	cancel  context.CancelFunc
	clients []client
	shards  []*shard
	h2      *h2Pool
	topics  sync.Map // interned names
	events  chan event

	alive   sync.WaitGroup
	open    atomic.Int64
	opened  atomic.Int64 // clients that were served at least once
	settled atomic.Int64
	allIn   chan struct{}
	// Closed when slow readers are to be slow no longer.
	hurried  chan struct{}
	hurrying sync.Once

	reporting sync.Mutex
	totals    totals
	window    totals // since the last look at it
	ended     chan struct{}
	closing   sync.Once
	closeOnce sync.Once
}

func newSwarm(parent context.Context, options *swarmOptions, dial dialFunc, published *published,
	report func(*totals, int)) *swarm {
	s := &swarm{
		options: options, dial: dial, published: published, report: report,
		clients: make([]client, options.connections), shards: newShards(),
		allIn: make(chan struct{}), hurried: make(chan struct{}), ended: make(chan struct{}),
	}
	s.context, s.cancel = context.WithCancel(parent)
	if options.http2 {
		s.h2 = newH2Pool(s)
	}
	if options.onEvent != nil {
		s.events = make(chan event, 256)
		go s.handOn()
	}
	for i := range s.clients {
		s.clients[i].begin(s, i)
	}
	s.alive.Add(len(s.clients))
	return s
}

func (s *swarm) start() {
	go s.openAll()
	go s.reportRegularly()
}

// openAll starts the clients; those that have no answer yet hold a place each.
func (s *swarm) openAll() {
	places := make(chan struct{}, s.options.opening)
	began := time.Now()
	for i := range s.clients {
		if ramp := s.options.rampPerSecond; ramp > 0 {
			due := began.Add(time.Duration(float64(i) / ramp * float64(time.Second)))
			sleep(s.context, time.Until(due))
		}
		select {
		case places <- struct{}{}:
		case <-s.context.Done():
			s.alive.Add(i - len(s.clients))
			return
		}
		s.clients[i].release = sync.OnceFunc(func() { <-places })
		s.clients[i].settle = sync.OnceFunc(func() {
			if s.settled.Add(1) == int64(len(s.clients)) {
				close(s.allIn)
			}
		})
		go s.clients[i].live()
	}
}

// sleep returns false when the context ended first.
func sleep(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

const reportEvery = time.Second

func (s *swarm) reportRegularly() {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush()
		case <-s.ended:
			return
		case <-s.context.Done():
			s.close()
			return
		}
	}
}

func (s *swarm) flush() {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	window := &totals{}
	collect(s.shards, window)
	if s.report != nil {
		s.report(window, int(s.open.Load()))
	}
	s.window.add(window)
	s.totals.add(window)
}

// cut ends open connections from this side, evenly over the clients. They come back after `within` at the latest, or,
// when that is negative, as their policy says. It returns how many there were.
func (s *swarm) cut(share float64, within time.Duration) (count int) {
	for i := range s.clients {
		if int(float64(i+1)*share) > int(float64(i)*share) && s.clients[i].cut(within) {
			count++
		}
	}
	return count
}

// close ends all connections and reports what is left.
func (s *swarm) close() {
	s.closeOnce.Do(func() {
		s.cancel()
		for i := range s.clients {
			s.clients[i].hangUp()
		}
		s.alive.Wait()
		if s.h2 != nil {
			s.h2.close()
		}
		if s.events != nil {
			close(s.events)
		}
		s.flush()
		close(s.ended)
	})
	<-s.ended
}

func (s *swarm) handOn() {
	for e := range s.events {
		s.options.onEvent(e)
	}
}

// intern keeps one copy of a topic's name for all clients.
func (s *swarm) intern(name []byte) string {
	if known, ok := s.topics.Load(string(name)); ok {
		return known.(string)
	}
	known, _ := s.topics.LoadOrStore(string(name), string(name))
	return known.(string)
}
