package sse

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func numbers(first, last int) (list []int) {
	for n := first; n <= last; n++ {
		list = append(list, n)
	}
	return list
}

func TestAGoodStreamHasNoFaults(t *testing.T) {
	s := serve(t, plain, func(s stream) {
		s.begin().position(0)
		s.events(numbers(1, 3000)...)
		s.stay()
	})
	c := swarmFor(t, s, nil).untilEvents(t, 3000)
	if (c.faults != faults{}) || c.events != 3000 {
		t.Errorf("got %+v, %d events", c.faults, c.events)
	}
}

func TestADroppedEventIsLost(t *testing.T) {
	s := serve(t, plain, func(s stream) {
		s.begin().position(0)
		s.events(append(numbers(1, 999), numbers(1001, 1999)...)...)
		s.stay()
	})
	if c := swarmFor(t, s, nil).untilEvents(t, 1998); (c.faults != faults{lost: 1}) {
		t.Errorf("got %+v", c.faults)
	}
}

func TestAnEventThatIsRepeatedAfterAReconnectIsADuplicate(t *testing.T) {
	s := serve(t, plain,
		func(s stream) { s.begin().position(0); s.events(1, 2, 3) },
		func(s stream) { s.begin().position(3); s.events(3, 4); s.stay() })
	c := swarmFor(t, s, nil).untilEvents(t, 5)
	if (c.faults != faults{duplicated: 1}) || c.reconnects != 1 || c.resumed != 1 || c.notResumed != 0 {
		t.Errorf("got %+v", c)
	}
	if got := s.request(1).Header.Get("Last-Event-ID"); got != "e-3" {
		t.Errorf("Last-Event-ID %q", got)
	}
	if got := s.request(0).Header.Get("Last-Event-ID"); got != "" {
		t.Errorf("a first Last-Event-ID %q", got)
	}
}

func TestAnEventThatIsLostInAReconnectIsLost(t *testing.T) {
	s := serve(t, plain,
		func(s stream) { s.begin().position(0); s.events(1, 2) },
		func(s stream) { s.begin().position(2); s.events(4); s.stay() })
	if c := swarmFor(t, s, nil).untilEvents(t, 3); (c.faults != faults{lost: 1}) {
		t.Errorf("got %+v", c.faults)
	}
}

func TestAnEventThatWasCutComesAgainWithoutADuplicate(t *testing.T) {
	s := serve(t, plain,
		func(s stream) {
			s.begin().position(0)
			s.events(1)
			s.write("id: e-2\ndata: {\"topic\":\"a\",\"data\":{\"n\":2")
			s.cut()
		},
		func(s stream) { s.begin().position(1); s.events(2, 3); s.stay() })
	c := swarmFor(t, s, nil).untilEvents(t, 3)
	if (c.faults != faults{}) || s.request(1).Header.Get("Last-Event-ID") != "e-1" {
		t.Errorf("got %+v", c.faults)
	}
}

func TestEventsThatChangePlacesAreOutOfOrder(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.events(1, 3, 2, 4); s.stay() })
	if c := swarmFor(t, s, nil).untilEvents(t, 4); (c.faults != faults{outOfOrder: 1}) {
		t.Errorf("got %+v", c.faults)
	}
}

func TestATailThatDoesNotComeIsLost(t *testing.T) {
	known := newPublished()
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.events(1, 2, 3); s.stay() })
	swarm := swarmFor(t, s, known)
	swarm.untilEvents(t, 3)
	if missing := swarm.complete(map[string]int64{"a": 3}, false, 10*time.Second); missing != 0 {
		t.Errorf("%d are missing of none", missing)
	}
	if missing := swarm.complete(map[string]int64{"a": 5, "b": 9}, false, 50*time.Millisecond); missing != 2 {
		t.Errorf("%d are missing instead of 2", missing)
	}
	if c := swarm.now(); c.lost != 2 || c.tailLost != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestAStreamThatStaysSilentHasLostEverything(t *testing.T) {
	known := newPublished()
	known.of("a").issued.Store(10)
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.stay() })
	swarm := swarmFor(t, s, known)
	until(t, "a greeting", func() bool { swarm.flush(); return swarm.totals.firstBlock.total == 1 })
	if missing := swarm.complete(map[string]int64{"a": 14}, false, 0); missing != 4 {
		t.Errorf("%d are missing instead of 4", missing)
	}
}

func TestAGapIsToldApartFromLoss(t *testing.T) {
	s := serve(t, plain,
		func(s stream) { s.begin().position(0); s.events(1, 2) },
		func(s stream) {
			s.begin().position(5)
			s.write("id: e-5\nevent: $gap\ndata: {\"requested\":\"e-2\",\"resumedAt\":\"e-5\",\"reason\":\"expired\"}\n\n")
			s.events(6, 7)
			s.stay()
		})
	c := swarmFor(t, s, nil).untilEvents(t, 4)
	if (c.faults != faults{announced: 3}) || c.gaps["expired"] != 1 || c.notResumed != 1 || c.resumed != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestABrowserGivesUpForEverOnARefusal(t *testing.T) {
	for name, answer := range map[string]func(stream){
		"status-503":   func(s stream) { s.begin().w.WriteHeader(503) },
		"status-204":   func(s stream) { s.w.WriteHeader(204) },
		"content-type": func(s stream) { s.w.Header().Set("Content-Type", "text/html"); s.write("x") },
	} {
		s := serve(t, plain, answer)
		swarm := swarmFor(t, s, nil)
		<-swarm.allIn
		time.Sleep(100 * time.Millisecond)
		if c := swarm.now(); s.count() != 1 || c.refused != 1 || c.errors[name] != 1 || swarm.opened.Load() != 0 {
			t.Errorf("%s: %d requests, %+v", name, s.count(), c)
		}
	}
}

func TestTheOtherPolicyComesBackAfterARefusal(t *testing.T) {
	s := serve(t, plain,
		func(s stream) { s.w.WriteHeader(503) },
		func(s stream) { s.begin().position(0); s.events(1); s.stay() })
	swarm := swarmFor(t, s, nil, func(o *swarmOptions) { o.policy.kind = "always" })
	if c := swarm.untilEvents(t, 1); c.refused != 1 || c.reconnects != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestAPassingConditionIsNoError(t *testing.T) {
	s := serve(t, plain,
		func(s stream) { s.begin().write("retry: 30\n\n") },
		func(s stream) { s.begin().position(0); s.events(1); s.stay() })
	swarm := swarmFor(t, s, nil)
	if c := swarm.untilEvents(t, 1); c.turnedAway != 1 || len(c.errors) != 0 || (c.faults != faults{}) {
		t.Errorf("got %+v", c)
	}
}

func TestAClientThatIsOnlyTurnedAwayIsNeverServed(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.begin().write(": full\nretry: 10\n\n") })
	swarm := swarmFor(t, s, nil)
	until(t, "five attempts", func() bool { return swarm.now().turnedAway >= 5 })
	select {
	case <-swarm.allIn:
		t.Error("it counts as settled")
	default:
	}
	if swarm.open.Load() != 0 || swarm.opened.Load() != 0 || swarm.present(0) != 1 {
		t.Errorf("%d open, %d opened", swarm.open.Load(), swarm.opened.Load())
	}
}

func TestAStreamThatStaysOpenWithoutABlockIsServed(t *testing.T) {
	known := newPublished()
	s := serve(t, plain, func(s stream) { s.begin().write(": hello\n\n"); s.stay() })
	swarm := swarmFor(t, s, known)
	<-swarm.allIn
	if swarm.open.Load() != 1 || swarm.opened.Load() != 1 || swarm.present(0) != 0 {
		t.Errorf("%d open, %d opened", swarm.open.Load(), swarm.opened.Load())
	}
	known.of("a").issued.Store(2)
	if missing := swarm.complete(map[string]int64{"a": 2}, false, 0); missing != 2 {
		t.Errorf("%d are missing instead of 2", missing)
	}
}

func TestWhoIsOnItsWayBackIsWaitedFor(t *testing.T) {
	s := serve(t, plain,
		func(s stream) { s.begin().position(0) },
		func(s stream) { s.begin().position(0); s.stay() })
	swarm := swarmFor(t, s, nil)
	<-swarm.allIn
	if away := swarm.present(10 * time.Second); away != 0 {
		t.Errorf("%d are away", away)
	}
}

func TestAServerThatIsNotThereIsTriedAgain(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.cut() }, func(s stream) { s.begin().position(0); s.events(1); s.stay() })
	swarm := swarmFor(t, s, nil)
	if c := swarm.untilEvents(t, 1); c.failed != 1 || c.errors["closed"]+c.errors["reset"] != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestStreamsComeOverTLSAndHTTP2(t *testing.T) {
	answers := []func(stream){
		func(s stream) { s.begin().position(0); s.events(numbers(1, 500)...) },
		func(s stream) { s.begin().position(500); s.events(501); s.stay() }}
	for _, http2 := range []bool{false, true} {
		s := serve(t, func(s *httptest.Server) { s.EnableHTTP2 = http2; s.StartTLS() }, answers...)
		swarm := swarmFor(t, s, nil, func(o *swarmOptions) {
			o.http2, o.tls = http2, s.Client().Transport.(*transport).TLSClientConfig.Clone()
			o.tls.ServerName = "example.com"
			o.tokens, o.tokenIn = []string{"secret"}, "cookie"
			o.headers = [][2]string{{"X-One", "1"}, {"Cookie", "a=b"}}
		})
		c := swarm.untilEvents(t, 501)
		r := s.request(1)
		if (c.faults != faults{}) || c.resumed != 1 || r.ProtoMajor == 2 != http2 || r.Header.Get("Last-Event-ID") != "e-500" {
			t.Errorf("HTTP/2 %v: %+v, HTTP/%d", http2, c, r.ProtoMajor)
		}
		if r.Header.Get("X-One") != "1" || r.Header.Get("Cookie") != "a=b; sse_token=secret" {
			t.Errorf("headers %v", r.Header)
		}
	}
}

func TestAThousandClientsShareTheWork(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.events(numbers(1, 20)...); s.stay() })
	swarm := swarmFor(t, s, nil, func(o *swarmOptions) { o.connections, o.rampPerSecond = 1000, 5000 })
	<-swarm.allIn
	if missing := swarm.complete(map[string]int64{"a": 20}, false, 30*time.Second); missing != 0 || swarm.open.Load() != 1000 {
		t.Errorf("%d are missing, %d open", missing, swarm.open.Load())
	}
	swarm.close()
	if c := swarm.now(); c.events != 20_000 || (c.faults != faults{}) || swarm.open.Load() != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestSlowReadersAreSpreadAndStillChecked(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.events(1, 2, 4); s.stay() })
	swarm := swarmFor(t, s, nil, func(o *swarmOptions) {
		o.connections, o.slowShare, o.slowBytesPerSecond = 4, 0.5, 4000
	})
	if c := swarm.untilEvents(t, 12); c.lost != 4 {
		t.Errorf("got %+v", c)
	}
	slow := 0
	for i := range swarm.clients {
		if swarm.clients[i].slow {
			slow++
		}
	}
	if slow != 2 {
		t.Errorf("%d are slow", slow)
	}
}

func TestASlowReaderIsCheckedToTheLastEvent(t *testing.T) {
	for _, rate := range []int{0, 100} {
		s := serve(t, plain, func(s stream) { s.begin().position(0); s.events(numbers(1, 400)...); s.stay() })
		swarm := swarmFor(t, s, newPublished(), func(o *swarmOptions) { o.slowShare, o.slowBytesPerSecond = 1, rate })
		until(t, "a greeting", func() bool { swarm.flush(); return swarm.totals.firstBlock.total == 1 })
		if missing := swarm.complete(map[string]int64{"a": 400}, true, 30*time.Second); missing != 0 {
			t.Errorf("%d B/s: %d are missing of none", rate, missing)
		}
		if missing := swarm.complete(map[string]int64{"a": 401}, true, 0); missing != 1 {
			t.Errorf("%d B/s: %d are missing instead of 1", rate, missing)
		}
		if c := swarm.now(); c.events != 400 || c.lost != 1 {
			t.Errorf("%d B/s: %+v", rate, c)
		}
	}
}

func TestEachClientHasItsTopicsTokenAndSource(t *testing.T) {
	s := serve(t, plain, func(s stream) { s.begin().position(0); s.events(1); s.stay() })
	swarm := swarmFor(t, s, nil, func(o *swarmOptions) {
		o.connections, o.opening = 2, 1
		o.sets = []*topicSet{newTopicSet([]string{"a", "b.>"}), newTopicSet([]string{"c"})}
		o.tokens, o.since = []string{"one", "two"}, "10m"
		o.sources = addressesOf(t, "127.0.0.5", "127.0.0.6")
	})
	swarm.untilEvents(t, 2)
	for i, want := range []string{"topic=a&topic=b.%3E&since=10m Bearer one 127.0.0.5", "topic=c&since=10m Bearer two 127.0.0.6"} {
		r := s.request(i)
		host, _, _ := strings.Cut(r.RemoteAddr, ":")
		if got := r.URL.RawQuery + " " + r.Header.Get("Authorization") + " " + host; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestClientsThatAreCutComeBackWithTheirPosition(t *testing.T) {
	s := serve(t, plain,
		func(s stream) { s.begin().position(0); s.events(1, 2); s.stay() },
		func(s stream) { s.begin().position(2); s.events(3); s.stay() })
	swarm := swarmFor(t, s, nil, func(o *swarmOptions) { o.policy.kind = "none" })
	swarm.untilEvents(t, 2)
	if cut := swarm.cut(1, 0); cut != 1 {
		t.Errorf("%d were cut", cut)
	}
	if c := swarm.untilEvents(t, 3); (c.faults != faults{}) || c.resumed != 1 || len(c.errors) != 0 {
		t.Errorf("got %+v", c)
	}
}
