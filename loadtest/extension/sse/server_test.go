package sse

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// server answers the k-th request of a test as its script says.
type server struct {
	*httptest.Server
	lock     sync.Mutex
	requests []*http.Request
}

// stream writes an event stream.
type stream struct {
	w http.ResponseWriter
	r *http.Request
}

func (s stream) begin() stream {
	s.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	return s
}

func (s stream) write(format string, values ...any) {
	fmt.Fprintf(s.w, format, values...)
	s.w.(http.Flusher).Flush()
}

func (s stream) position(sequence int) {
	s.write("retry: 10\nevent: $position\nid: e-%d\ndata: {}\n\n", sequence)
}

func (s stream) events(numbers ...int) {
	for _, n := range numbers {
		s.write("id: e-%d\ndata: {\"topic\":\"a\",\"time\":\"2026-11-22T09:30:00.123Z\",\"data\":{\"n\":%d,\"t\":%d}}\n\n",
			n, n, time.Now().UnixNano())
	}
}

func (s stream) stay() { <-s.r.Context().Done() }

func (s stream) cut() { panic(http.ErrAbortHandler) }

func serve(t *testing.T, start func(*httptest.Server), answers ...func(stream)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.lock.Lock()
		s.requests = append(s.requests, r.Clone(context.Background()))
		answer := answers[min(len(s.requests), len(answers))-1]
		s.lock.Unlock()
		answer(stream{w, r})
	}))
	start(s.Server)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func plain(s *httptest.Server) { s.Start() }

func (s *server) count() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return len(s.requests)
}

func (s *server) request(i int) *http.Request {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.requests[i]
}

// swarmFor opens a swarm of one client, unless `change` says otherwise.
func swarmFor(t *testing.T, s *server, known *published, change ...func(*swarmOptions)) *swarm {
	t.Helper()
	one, err := readTarget(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := &swarmOptions{connections: 1, targets: []*target{one}, sets: []*topicSet{newTopicSet([]string{"a"})},
		tokenIn: "header", opening: 100, timeout: 5 * time.Second, policy: defaultPolicy(), streamsPerConnection: 10}
	o.policy.retryMs = 20
	for _, c := range change {
		c(o)
	}
	swarm := newSwarm(t.Context(), o, func(ctx context.Context, local net.IP, control controlFunc, address string) (net.Conn, error) {
		d := net.Dialer{Control: control}
		if local != nil {
			d.LocalAddr = &net.TCPAddr{IP: local}
		}
		return d.DialContext(ctx, "tcp", address)
	}, known, nil)
	swarm.start()
	t.Cleanup(swarm.close)
	return swarm
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 10 s: %s", what)
}

func (s *swarm) now() counters {
	s.flush()
	s.reporting.Lock()
	defer s.reporting.Unlock()
	return s.totals.counters
}

func (s *swarm) untilEvents(t *testing.T, count int64) counters {
	t.Helper()
	until(t, fmt.Sprintf("%d events", count), func() bool { return s.now().events >= count })
	return s.now()
}

type (
	transport = http.Transport
	webServer = httptest.Server
)

func addressesOf(t *testing.T, texts ...string) (list []net.IP) {
	t.Helper()
	for _, text := range texts {
		list = append(list, net.ParseIP(text))
	}
	return list
}
