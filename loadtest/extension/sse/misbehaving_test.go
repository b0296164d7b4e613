package sse

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// misbehave answers the k-th connection with bytes, and closes it when the answer returns.
func misbehave(t *testing.T, answers ...func(net.Conn)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for k := 0; ; k++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer := answers[min(k, len(answers)-1)]
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				answer(conn)
			}()
		}
	}()
	s := &server{}
	s.Server = &webServer{URL: "http://" + listener.Addr().String()}
	return s
}

const (
	chunked  = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	greeting = "retry: 10\nevent: $position\nid: e-0\ndata: {}\n\n"
)

func says(texts ...string) func(net.Conn) {
	return func(conn net.Conn) {
		for _, text := range texts {
			_, _ = conn.Write([]byte(text))
		}
	}
}

func chunk(text string) string { return fmt.Sprintf("%x;x=1\r\n%s\r\n", len(text), text) }

func numbered(n int) string {
	return fmt.Sprintf("id: e-%d\ndata: {\"topic\":\"a\",\"data\":{\"n\":%d,\"t\":1}}\n\n", n, n)
}

// staysUntilItLeaves keeps a connection open for as long as the client does.
func staysUntilItLeaves(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }

// good is a stream without fault, of one event, in pieces that cut everything.
func good(n int) func(net.Conn) {
	return func(conn net.Conn) {
		for _, c := range []byte(chunked + chunk(greeting) + chunk(numbered(n))) {
			_, _ = conn.Write([]byte{c})
		}
		staysUntilItLeaves(conn)
	}
}

func TestAnAnswerThatIsNoneIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		answer func(net.Conn)
	}{
		"accepts and never answers": {"timeout", staysUntilItLeaves},
		"never ends its head":       {"timeout", func(c net.Conn) { says("HTTP/1.1 200 OK\r\nX: 1\r\n")(c); staysUntilItLeaves(c) }},
		"has a head that is too long": {"not-http", func(c net.Conn) {
			says("HTTP/1.1 200 OK\r\nX: ", strings.Repeat("x", 2*longestHead))(c)
			staysUntilItLeaves(c)
		}},
		"speaks another protocol": {"not-http", says("SSH-2.0-OpenSSH_9.2\r\n\r\n")},
		"closes without a word":   {"closed", says()},
	} {
		swarm := swarmFor(t, misbehave(t, c.answer, good(1)), nil, func(o *swarmOptions) { o.timeout = 500 * time.Millisecond })
		if got := swarm.untilEvents(t, 1); got.errors[c.reason] != 1 || got.failed != 1 || (got.faults != faults{}) {
			t.Errorf("a server that %s: %+v", name, got)
		}
	}
}

func TestAStreamThatBreaksGoesOnWhereItWas(t *testing.T) {
	for name, rest := range map[string]string{
		"a chunk size that is no number": "zz\r\n",
		"an empty chunk size":            "\r\n",
		"a chunk longer than its size":   "2\r\nid: e-9\r\n",
		"a chunk that is cut":            "ff\r\nid: e-9\ndata: {\"topic\":\"a\"",
	} {
		s := misbehave(t, says(chunked+chunk(greeting)+chunk(numbered(1))+rest), good(2))
		swarm := swarmFor(t, s, nil)
		got := swarm.untilEvents(t, 2)
		if (got.faults != faults{}) || got.closed != 1 || got.reconnects != 1 || string(swarm.clients[0].parser.lastID) != "e-2" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnInterimAnswerIsPassedOver(t *testing.T) {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
	s := misbehave(t, func(c net.Conn) { says(hints)(c); good(1)(c) })
	if got := swarmFor(t, s, nil).untilEvents(t, 1); len(got.errors) != 0 || got.reconnects != 0 {
		t.Errorf("got %+v", got)
	}
}
