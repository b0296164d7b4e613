package sse

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestAPublisherSendsAgainWhatWasNotStored(t *testing.T) {
	stored, ids, fails := map[string][]int64{}, map[string]bool{}, atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Every third request fails, every sixth after it was stored.
		try := fails.Add(1)
		if try%6 == 3 {
			w.WriteHeader(503)
			return
		}
		lines, answer := bufio.NewScanner(r.Body), ""
		for lines.Scan() {
			var e struct {
				Topic, ID string
				Data      struct{ N int64 }
			}
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				t.Errorf("not JSON: %s", lines.Text())
			}
			if !ids[e.ID] {
				ids[e.ID] = true
				stored[e.Topic] = append(stored[e.Topic], e.Data.N)
			}
			answer += "{\"id\":\"e-1\",\"duplicate\":false}\n"
		}
		if try%6 == 0 {
			w.WriteHeader(500)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer s.Close()
	target, _ := readTarget(s.URL)
	known := newPublished()
	p := startPublisher(t.Context(), &publisherOptions{target: target, topics: []string{"a", "b"}, fields: `"x":1`, count: 200,
		rate: 2000, workers: 1, lines: 20, timeout: time.Second}, s.Client(), known, "run", nil)
	<-p.ended
	if p.err != nil || p.totals.stored != 200 || p.totals.retries == 0 {
		t.Fatalf("%v, %d stored, %d retries", p.err, p.totals.stored, p.totals.retries)
	}
	for _, topic := range []string{"a", "b"} {
		if len(stored[topic]) != 100 || known.counts()[topic] != 100 {
			t.Errorf("%s: %d stored, %d known", topic, len(stored[topic]), known.counts()[topic])
		}
		for i, n := range stored[topic] {
			if n != int64(i+1) {
				t.Fatalf("%s: number %d at place %d", topic, n, i)
			}
		}
	}
}

func TestAPublisherEndsWhenItIsRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }))
	defer s.Close()
	target, _ := readTarget(s.URL)
	p := startPublisher(t.Context(), &publisherOptions{target: target, topics: []string{"a"}, count: 5, workers: 1, lines: 1,
		timeout: time.Second}, s.Client(), newPublished(), "run", nil)
	<-p.ended
	if p.err == nil || p.totals.stored != 0 {
		t.Errorf("%v, %d stored", p.err, p.totals.stored)
	}
}

func TestAPublisherWithoutBatchesSendsOneByOne(t *testing.T) {
	var alone atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("atomic") != "" {
			w.WriteHeader(501)
			return
		}
		alone.Add(1)
		w.WriteHeader(201)
	}))
	defer s.Close()
	target, _ := readTarget(s.URL)
	p := startPublisher(t.Context(), &publisherOptions{target: target, topics: []string{"a"}, count: 50, workers: 1, lines: 10,
		timeout: time.Second}, s.Client(), newPublished(), "run", nil)
	<-p.ended
	if p.err != nil || alone.Load() != 50 {
		t.Errorf("%v, %d requests", p.err, alone.Load())
	}
}
