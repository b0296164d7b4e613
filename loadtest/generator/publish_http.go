package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// publishOverHTTP posts over connections that are kept alive. The requests are written by hand: net/http would cost
// the load's core more than the publisher costs its own.
func publishOverHTTP(o *publishOptions, events *eventSource, stop *atomic.Bool) (*publishReport, error) {
	address, path, _ := strings.Cut(o.http, "/")
	report := &publishReport{}
	var acknowledged histogram
	var lock sync.Mutex
	var workers sync.WaitGroup
	pace := &pace{options: o, began: time.Now()}
	posters := make([]*poster, o.workers)
	for i := range posters {
		connection, err := net.Dial("tcp4", address)
		if err != nil {
			return nil, err
		}
		defer connection.Close()
		posters[i] = &poster{options: o, host: address, path: "/" + path, connection: connection,
			reader: bufio.NewReaderSize(connection, 64<<10)}
	}
	for _, p := range posters {
		workers.Go(func() {
			for {
				lock.Lock()
				due := pace.due(stop, int64(max(1, o.lines)))
				if due == 0 {
					lock.Unlock()
					return
				}
				p.prepare(events, int(due))
				report.Sent += due
				lock.Unlock()
				began := time.Now()
				stored, err := p.post(int(due))
				lock.Lock()
				acknowledged.record(time.Since(began).Nanoseconds())
				report.Stored += int64(stored)
				if err != nil {
					report.failed("%v", err)
				}
				lock.Unlock()
				if err != nil && p.connection == nil {
					return
				}
			}
		})
	}
	workers.Wait()
	report.AcknowledgedMs = acknowledged.summary()
	return report, nil
}

const patience = 30 * time.Second

// poster is one connection that is kept alive.
type poster struct {
	options    *publishOptions
	host, path string
	connection net.Conn
	reader     *bufio.Reader
	body, text []byte
}

// prepare writes the request for the next events.
func (p *poster) prepare(events *eventSource, count int) {
	path, kind := p.path, "application/json"
	p.body = p.body[:0]
	for i := range count {
		if p.options.raw {
			var topic int
			topic, p.body = events.next(p.body)
			path = strings.ReplaceAll(path, "%d", strconv.Itoa(topic))
			continue
		}
		if i > 0 {
			p.body = append(p.body, '\n')
		}
		p.body = append(p.body, `{"topic":"`...)
		p.body = append(p.body, events.topics[events.made%int64(len(events.topics))]...)
		p.body = append(p.body, `","data":`...)
		_, p.body = events.next(p.body)
		p.body = append(p.body, '}')
	}
	if p.options.lines > 0 {
		kind = "application/x-ndjson"
	}
	p.text = fmt.Appendf(p.text[:0], "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n",
		path, p.host, kind, len(p.body))
	if p.options.token != "" {
		p.text = fmt.Appendf(p.text, "Authorization: Bearer %s\r\n", p.options.token)
	}
	p.text = append(append(p.text, "\r\n"...), p.body...)
}

// post sends the request and returns how many of its events were stored. Without its connection it is at its end.
func (p *poster) post(count int) (stored int, err error) {
	// A server that never answers is an error and no reason to hang.
	_ = p.connection.SetDeadline(time.Now().Add(patience))
	if _, err = p.connection.Write(p.text); err == nil {
		var status int
		var body []byte
		if status, body, err = p.answer(); err == nil {
			return storedOf(status, body, count, p.options.lines > 0)
		}
	}
	p.connection = nil
	return 0, err
}

func storedOf(status int, body []byte, count int, ndjson bool) (int, error) {
	if status >= 300 {
		return 0, fmt.Errorf("%d %s", status, body)
	}
	if !ndjson {
		return count, nil
	}
	refused := bytes.Count(body, []byte(`"error":`))
	lines := bytes.Count(body, []byte{'\n'})
	if refused > 0 || lines != count {
		return lines - refused, fmt.Errorf("%d of %d lines stored: %.200s", lines-refused, count, body)
	}
	return count, nil
}

// answer reads a whole response, so that the connection can be used again.
func (p *poster) answer() (status int, body []byte, err error) {
	line, err := p.reader.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 {
		return 0, nil, fmt.Errorf("not HTTP: %s", line)
	}
	status, _ = strconv.Atoi(string(line[9:12]))
	length := -1
	for {
		if line, err = p.reader.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		name, text, found := bytes.Cut(line, []byte(":"))
		if !found {
			break
		}
		if strings.EqualFold(string(name), "content-length") {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(text)))
		}
	}
	if length < 0 && status != http.StatusNoContent {
		return 0, nil, fmt.Errorf("a response without Content-Length (status %d)", status)
	}
	body = make([]byte, max(0, length))
	for read := 0; read < len(body); {
		n, err := p.reader.Read(body[read:])
		if err != nil {
			return 0, nil, err
		}
		read += n
	}
	return status, body, nil
}
