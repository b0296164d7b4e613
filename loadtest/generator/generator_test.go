package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// record is what a stream told its observer.
type record struct {
	tally
	numbers []int64
	times   []int64
}

func (r *record) event(s *stream, now int64) {
	r.numbers = append(r.numbers, s.n)
	r.times = append(r.times, s.t)
	r.tally.event(s, now)
}

func newRecord(byTopic bool) *record {
	return &record{tally: tally{byTopic: byTopic, topics: map[string]int32{}, current: &connection{}}}
}

func event(id, n int) string {
	return fmt.Sprintf("id: e-%d\nevent: order.shipped\ndata: {\"topic\":\"bench.0\",\"time\":\"…\",\"data\":{\"n\":%d,\"t\":%d}}\n\n", id, n, 1000+n)
}

const greeting = "retry: 1234\nevent: $position\nid: e-0\ndata: {}\n\n"

func plain(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body
}

func chunked(body string, size int) string {
	text := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for len(body) > 0 {
		piece := body[:min(size, len(body))]
		body = body[len(piece):]
		text += fmt.Sprintf("%X;name=value\r\n%s\r\n", len(piece), piece)
	}
	return text + "0\r\nTrailer: x\r\n\r\n"
}

func (r *record) check(t *testing.T, name string, s *stream, want ...int64) {
	t.Helper()
	if fmt.Sprint(r.numbers) != fmt.Sprint(want) || r.faults != (faults{}) || r.idDisordered != 0 {
		t.Fatalf("%s: got %v, %+v, %d ids out of order; want %v", name, r.numbers, r.faults, r.idDisordered, want)
	}
	if s.retryMs != 1234 || r.controls[positionControl] != 1 {
		t.Fatalf("%s: retry %d, %d greetings", name, s.retryMs, r.controls[positionControl])
	}
	for i, n := range r.numbers {
		if r.times[i] != 1000+n {
			t.Fatalf("%s: event %d has time %d", name, n, r.times[i])
		}
	}
}

func TestAStreamIsReadTheSameHoweverItIsCut(t *testing.T) {
	body := greeting + event(5, 1) + ": comment\n\n" + event(6, 2) + event(9, 3)
	responses := map[string]string{
		"plain":           plain(body),
		"CRLF":            plain(strings.ReplaceAll(body, "\n", "\r\n")),
		"CR in between":   plain(strings.ReplaceAll(body, "\ndata", "\rdata")),
		"byte order mark": plain("\xef\xbb\xbf" + body),
		"chunks of 1":     chunked(body, 1),
		"chunks of 7":     chunked(body, 7),
		"chunks of 100":   chunked(body, 100),
		"one chunk":       chunked(body, 1<<20),
		"known length":    fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
	}
	for name, text := range responses {
		for cut := range len(text) {
			s, r := &stream{}, newRecord(false)
			s.connected()
			s.feed([]byte(text[:cut]), 0, r)
			s.feed([]byte(text[cut:]), 0, r)
			r.check(t, fmt.Sprintf("%s cut at %d", name, cut), s, 1, 2, 3)
			if string(s.lastID) != "e-9" {
				t.Fatalf("%s: position %s", name, s.lastID)
			}
		}
		for size := 1; size < 40; size++ {
			s, r := &stream{}, newRecord(false)
			s.connected()
			for rest := text; rest != ""; {
				piece := rest[:min(size, len(rest))]
				s.feed([]byte(piece), 0, r)
				rest = rest[len(piece):]
			}
			r.check(t, fmt.Sprintf("%s in pieces of %d", name, size), s, 1, 2, 3)
		}
	}
}

func TestTheEndOfABodyIsSeen(t *testing.T) {
	for _, text := range []string{
		chunked(greeting, 10),
		fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(greeting), greeting),
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
	} {
		s := &stream{}
		s.connected()
		s.feed([]byte(text), 0, newRecord(false))
		if s.response.phase != ended {
			t.Errorf("phase %d after %q", s.response.phase, text)
		}
	}
}

func TestWhatIsNotHTTPOrNotChunkedRightIsBroken(t *testing.T) {
	for _, text := range []string{
		"nonsense that is long enough\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", longestHead),
	} {
		s := &stream{}
		s.connected()
		s.feed([]byte(text), 0, newRecord(false))
		if s.response.phase != broken {
			t.Errorf("phase %d after %.60q", s.response.phase, text)
		}
	}
}

func TestAnUnfinishedBlockDoesNotCountAndDoesNotMoveThePosition(t *testing.T) {
	s, r := &stream{}, newRecord(false)
	s.connected()
	s.feed([]byte(plain(greeting+strings.TrimSuffix(event(7, 1), "\n"))), 0, r)
	if len(r.numbers) != 0 || string(s.lastID) != "e-0" {
		t.Fatalf("%v, position %s", r.numbers, s.lastID)
	}
	// The rest comes on a new connection, from the start.
	s.connected()
	s.feed([]byte(plain(greeting+event(7, 1))), 0, r)
	if len(r.numbers) != 1 || string(s.lastID) != "e-7" {
		t.Fatalf("%v, position %s", r.numbers, s.lastID)
	}
}

func TestControlEventsAreNoEvents(t *testing.T) {
	s, r := &stream{}, newRecord(false)
	s.connected()
	s.feed([]byte(plain(greeting+event(1, 1)+
		"event: $gap\nid: f-0\ndata: {\"requested\":\"e-1\",\"n\":77}\n\n"+
		"event: $live\nid: f-0\ndata: {}\n\nevent: $closing\ndata: {\"reason\":\"max-age\"}\n\n"+
		"event: $new\ndata: {\"n\":5}\n\n"+event(1, 2)[0:0])), 0, r)
	if want := [controlKinds]int64{0, 1, 1, 1, 1, 1}; r.controls != want || len(r.numbers) != 1 {
		t.Fatalf("%v %v", r.controls, r.numbers)
	}
	if r.idDisordered != 0 || string(s.lastID) != "f-0" {
		t.Fatalf("%d ids out of order, position %s", r.idDisordered, s.lastID)
	}
}

func TestIdsThatDoNotGrowAreSeen(t *testing.T) {
	for _, second := range []string{event(5, 2), event(4, 2), strings.Replace(event(6, 2), "e-", "f-", 1),
		"event: $position\nid: e-4\ndata: {}\n\n"} {
		s, r := &stream{}, newRecord(false)
		s.connected()
		s.feed([]byte(plain(greeting+event(5, 1)+second)), 0, r)
		if r.idDisordered != 1 {
			t.Errorf("%d ids out of order with %q", r.idDisordered, second)
		}
	}
}

func TestLostDuplicatedAndDisorderedNumbersAreToldApart(t *testing.T) {
	cases := []struct {
		numbers []int64
		want    faults
	}{
		{[]int64{1, 2, 3}, faults{}},
		{[]int64{1, 2, 2, 3}, faults{Duplicated: 1}},
		{[]int64{1, 3}, faults{Lost: 1}},
		{[]int64{1, 5, 6}, faults{Lost: 3}},
		{[]int64{1, 3, 2, 4}, faults{OutOfOrder: 1}},
		{[]int64{1, 6, 4, 4, 2, 3, 7}, faults{OutOfOrder: 3, Duplicated: 1, Lost: 1}},
		{[]int64{3, 4, 1}, faults{Duplicated: 1}},
	}
	for _, c := range cases {
		var f faults
		l := newLedger(0)
		for _, n := range c.numbers {
			l.take(n, &f)
		}
		if f != c.want {
			t.Errorf("%v: %+v, want %+v", c.numbers, f, c.want)
		}
	}
	var f faults
	newLedger(1).take(4, &f)
	if f.Lost != 3 {
		t.Errorf("what is missing at the start is not seen: %+v", f)
	}
}

func TestEachTopicHasItsOwnNumbers(t *testing.T) {
	s, r := &stream{}, newRecord(true)
	s.connected()
	other := strings.ReplaceAll(event(2, 1), "bench.0", "bench.1")
	s.feed([]byte(plain(greeting+event(1, 1)+other+event(3, 2)+strings.ReplaceAll(event(4, 3), "bench.0", "bench.1"))), 0, r)
	if r.faults != (faults{Lost: 1}) || len(r.current.ledgers) != 2 {
		t.Fatalf("%+v, %d topics", r.faults, len(r.current.ledgers))
	}
}

func TestPercentilesAreWithinOnePercent(t *testing.T) {
	h := &histogram{}
	for us := int64(1); us <= 100_000; us++ {
		h.record(us * 1000)
	}
	for share, want := range map[float64]float64{0.5: 50, 0.9: 90, 0.99: 99, 0.999: 99.9, 1: 100} {
		if got := h.percentile(share); got < want*0.99 || got > want*1.01 {
			t.Errorf("percentile %v: %v, want %v", share, got, want)
		}
	}
}

func TestOnlyLoopbackIsAllowed(t *testing.T) {
	for _, address := range []string{"192.0.2.1:80", "0.0.0.0:80", "8.8.8.8:4222"} {
		if _, err := loopback(address); err == nil {
			t.Errorf("%s is allowed", address)
		}
	}
	if _, err := subscribe([]string{"-address", "192.0.2.1:80"}); err == nil {
		t.Error("subscribe goes elsewhere")
	}
	if _, err := publish([]string{"-nats", "192.0.2.1:4222", "-count", "1"}); err == nil {
		t.Error("publish goes elsewhere")
	}
	if _, err := limit([]string{"-address", "0.0.0.0:9"}); err == nil {
		t.Error("limit listens elsewhere")
	}
}

func TestAnEventCostsNoAllocation(t *testing.T) {
	s, r := &stream{}, newRecord(true)
	s.connected()
	s.feed([]byte(plain(greeting+event(1, 1))), 0, &r.tally)
	n := 1
	frames := make([][]byte, 200)
	for i := range frames {
		n++
		frames[i] = []byte(event(n, n))
	}
	at := 0
	allocations := testing.AllocsPerRun(100, func() {
		frame := frames[at]
		at++
		s.feed(frame[:50], 0, &r.tally)
		s.feed(frame[50:], 0, &r.tally)
	})
	if allocations > 0 {
		t.Errorf("%v allocations per event", allocations)
	}
}

// BenchmarkFeed is the time per event without the system calls. The same events again and again count as duplicates.
func BenchmarkFeed(b *testing.B) {
	const events = 100
	text := []byte{}
	for n := range events {
		text = fmt.Appendf(text, "id: 7f3a9c-%d\ndata: {\"topic\":\"bench.0\",\"time\":\"2026-11-22T09:30:00.123Z\",\"data\":{\"n\":%d,\"t\":%d,\"p\":\"%s\"}}\n\n",
			n+1, n+1, time.Now().UnixNano(), strings.Repeat("x", 100))
	}
	s, r := &stream{}, newRecord(false)
	s.connected()
	s.feed([]byte(plain(greeting)), 0, &r.tally)
	b.ReportAllocs()
	for n := 0; n < b.N; n += events {
		r.current.ledger = ledger{}
		s.feed(text, time.Now().UnixNano(), &r.tally)
	}
}

// serve answers each connection with the next of the given functions.
func serve(t *testing.T, answers ...func(net.Conn, string)) string {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for i := 0; ; i++ {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				buffer := make([]byte, 4096)
				n, _ := connection.Read(buffer)
				answers[min(i, len(answers)-1)](connection, string(buffer[:n]))
			}()
		}
	}()
	return listener.Addr().String()
}

func run(t *testing.T, args ...string) *subscribeReport {
	t.Helper()
	result, err := subscribe(append(args, "-timeout", "10s", "-linger", "50ms"))
	if err != nil {
		t.Fatal(err)
	}
	return result.(*subscribeReport)
}

func TestASwarmComesBackWithItsPosition(t *testing.T) {
	quick := strings.Replace(greeting, "1234", "20", 1)
	requests := make(chan string, 10)
	address := serve(t,
		func(c net.Conn, request string) {
			requests <- request
			fmt.Fprint(c, plain(quick+event(1, 1)+event(2, 2)+"id: e-3\ndata: {\"n\":3"))
		},
		func(c net.Conn, request string) {
			requests <- request
			fmt.Fprint(c, plain(quick+event(3, 3)+event(4, 4)))
			time.Sleep(5 * time.Second)
		})
	r := run(t, "-address", address, "-number", "1", "-reconnect", "-until", "4", "-duration", "1ms")
	if r.Events != 4 || r.faults != (faults{}) || r.Reconnects != 1 || r.Reached != 1 {
		t.Errorf("%+v", r)
	}
	if first, second := <-requests, <-requests; strings.Contains(first, "Last-Event-ID") ||
		!strings.Contains(second, "Last-Event-ID: e-2\r\n") {
		t.Errorf("%s\n%s", first, second)
	}
}

func TestASwarmCountsRefusalsAndWhoNeverReads(t *testing.T) {
	address := serve(t, func(c net.Conn, _ string) { fmt.Fprint(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") })
	if r := run(t, "-address", address, "-number", "3"); r.Refused != 3 || r.Open != 0 {
		t.Errorf("%+v", r)
	}
	address = serve(t, func(c net.Conn, _ string) {
		fmt.Fprint(c, plain(greeting))
		for n := 1; n <= 20; n++ {
			time.Sleep(10 * time.Millisecond)
			fmt.Fprint(c, event(n, n))
		}
		time.Sleep(time.Second)
	})
	r := run(t, "-address", address, "-number", "10", "-stalled", "5", "-until", "20", "-first", "1", "-duration", "1ms")
	if r.Events != 100 || r.Reached != 5 || r.Open != 10 || r.FewestEvents != 20 || r.faults != (faults{}) {
		t.Errorf("%+v", r)
	}
}
