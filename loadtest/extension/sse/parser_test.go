package sse

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// heard is what a parser has told.
type heard []string

func (h *heard) block(p *parser) {
	if p.hasData {
		*h = append(*h, fmt.Sprintf("%s|%s|%s", p.lastID, p.kind, p.data))
	} else {
		*h = append(*h, fmt.Sprintf("%s only", p.lastID))
	}
}

func TestStreamsAreReadAsTheStandardSays(t *testing.T) {
	cases := []struct {
		name, text string
		want       heard
		retry      int64
	}{
		{"one event", "id: 1\nevent: a\ndata: x\n\n", heard{"1|a|x"}, 0},
		{"several lines of data", "data: x\ndata\ndata:y\n\n", heard{"||x\n\ny"}, 0},
		{"one space is taken away", "data:  x\n\n", heard{"|| x"}, 0},
		{"CRLF", "data: x\r\ndata: y\r\n\r\ndata: z\r\n\r\n", heard{"||x\ny", "||z"}, 0},
		{"CR", "data: x\rdata: y\r\rdata: z\r\r", heard{"||x\ny", "||z"}, 0},
		{"mixed", "data: x\rdata: y\r\n\rdata: z\n\r\n", heard{"||x\ny", "||z"}, 0},
		{"byte order mark", "\xef\xbb\xbfdata: x\n\n", heard{"||x"}, 0},
		{"only one mark is taken away", "\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n", heard{"||y"}, 0},
		{"comments", ": hello\ndata: x\n:\n\n: alone\n\n", heard{"||x"}, 0},
		{"an id without data moves the position", "id: 7\n\ndata: x\n\n", heard{"7 only", "7||x"}, 0},
		{"an id with NUL is ignored", "id: 1\ndata: x\n\nid: 2\x003\ndata: y\n\n", heard{"1||x", "1||y"}, 0},
		{"an empty id empties the position", "id: 1\ndata: x\n\nid\ndata: y\n\n", heard{"1||x", "||y"}, 0},
		{"an event without data is none", "event: a\n\ndata: x\n\n", heard{"||x"}, 0},
		{"empty data are data", "data\n\n", heard{"||"}, 0},
		{"an unfinished block is dropped", "id: 1\ndata: x\n\nid: 2\ndata: y\n", heard{"1||x"}, 0},
		{"retry", "retry: 250\n\n", nil, 250},
		{"the last retry counts, also of a block without data", "retry: 250\n\nretry: 9\ndata: x\n\n", heard{"||x"}, 9},
		{"the last event field counts", "event: a\nevent: b\ndata: x\n\nevent: a\nevent\ndata: y\n\n", heard{"|b|x", "||y"}, 0},
		{"a mark that is none is text", "\xef\xbbdata: x\n\n\xef\xbb\xbfdata: y\ndata: z\n\n", heard{"||z"}, 0},
		{"a mark and CRLF", "\xef\xbb\xbf\r\ndata: x\r\n\r\n", heard{"||x"}, 0},
		{"only a colon, and a colon in data", ":\n:data: n\ndata:a:b\n\n", heard{"||a:b"}, 0},
		{"retry with anything but digits is ignored", "retry: 1s\nretry: -1\nretry: \nretry: 1.5\n\n", nil, 0},
		{"unknown fields", "dat: x\nData: x\ndata : x\nfoo\ndata: y\n\n", heard{"||y"}, 0},
	}
	for _, c := range cases {
		for _, size := range []int{1, 2, 3, 7, len(c.text)} {
			p, h := &parser{}, heard(nil)
			p.connected()
			for at := 0; at < len(c.text); at += size {
				piece := []byte(c.text[at:min(len(c.text), at+size)])
				if !p.feed(piece, &h) {
					t.Fatalf("%s: too long", c.name)
				}
				for i := range piece { // the buffer is used again
					piece[i] = '#'
				}
			}
			if !reflect.DeepEqual(h, c.want) || p.retryMs != c.retry {
				t.Errorf("%s in pieces of %d: got %q, retry %d; want %q, %d", c.name, size, h, p.retryMs, c.want, c.retry)
			}
		}
	}
}

func TestAnIDOfAnUnfinishedBlockIsNoPosition(t *testing.T) {
	p, h := &parser{}, heard(nil)
	p.connected()
	p.feed([]byte("id: 1\ndata: x\n\nid: 2\ndata: y\n"), &h)
	p.connected()
	p.feed([]byte("\ndata: z\n\n"), &h)
	if want := (heard{"1||x", "1||z"}); !reflect.DeepEqual(h, want) {
		t.Errorf("got %q, want %q", h, want)
	}
}

func TestDataWithoutAnEndAreAFault(t *testing.T) {
	p, h := &parser{}, heard(nil)
	p.connected()
	line := []byte("data: " + strings.Repeat("x", 1<<20) + "\n")
	lines := 1
	for p.feed(line, &h) && lines < 100 {
		lines++
	}
	if want := longestLine / (1 << 20); lines != want || len(h) != 0 {
		t.Errorf("it ended after %d lines instead of %d, with %d events", lines, want, len(h))
	}
}

func TestMemoryOfALongEventIsGivenBack(t *testing.T) {
	p, h := &parser{}, heard(nil)
	p.connected()
	text := "data: " + strings.Repeat("x", 100_000) + "\n\n"
	for at := 0; at < len(text); at += 1000 {
		p.feed([]byte(text[at:min(len(text), at+1000)]), &h)
	}
	if len(h) != 1 || cap(p.line) > keptStorage || cap(p.stored) > keptStorage {
		t.Errorf("%d events, %d and %d bytes kept", len(h), cap(p.line), cap(p.stored))
	}
}

func TestTheEnvelopeIsRead(t *testing.T) {
	h := &hints{}
	for range 2 {
		e := h.read([]byte(`{"topic":"a.b","time":"2026-11-22T09:30:00.123Z","data":{"n":42,"t":1795339800123000000}}`))
		if string(e.topic) != "a.b" || !e.hasN || e.n != 42 || e.madeNs != 1795339800123000000 {
			t.Fatalf("got %+v", e)
		}
		e = h.read([]byte(`{"topic":"other","time":"2026-11-22T09:30:00.123Z","data":{"text":"x"}}`))
		if string(e.topic) != "other" || e.hasN || e.madeNs != 1795339800123000000 {
			t.Fatalf("got %+v", e)
		}
	}
	if e := h.read([]byte(`not json`)); e.topic != nil || e.hasN || e.madeNs != 0 {
		t.Fatalf("got %+v", e)
	}
}

func TestPatternsCoverTopics(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.*", "a.b", true}, {"a.*", "a.b.c", false},
		{"a.>", "a.b.c", true}, {"a.>", "a", false}, {">", "a", true}, {"*.b", "a.b", true}, {"a", "a.b", false},
	} {
		if covers(c.pattern, c.topic) != c.want {
			t.Errorf("%s over %s is not %v", c.pattern, c.topic, c.want)
		}
	}
}
