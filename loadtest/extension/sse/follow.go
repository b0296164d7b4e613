package sse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var (
	errRefused = errors.New("no event stream")
	errBroken  = errors.New("not HTTP")
)

// follow opens a connection and reads it to its end.
func (c *client) follow(ctx context.Context) error {
	if c.swarm.h2 != nil {
		return c.followHTTP2(ctx)
	}
	// In a goroutine of its own: what it needs of stack, much for TLS, is given back at once.
	done := make(chan channel, 1)
	go func() { done <- c.open(ctx) }()
	opened := <-done
	switch {
	case opened.err != nil:
		return opened.err
	case c.slow:
		return c.readSlowly(ctx, opened.conn)
	case opened.shared:
		return c.readShared(opened.conn)
	}
	return c.readOwn(opened.conn, opened.conn)
}

// channel is an open connection on which the request has been sent. Shared: its bytes are those of the socket.
type channel struct {
	conn   net.Conn
	shared bool
	err    error
}

func (c *client) open(ctx context.Context) channel {
	o := c.swarm.options
	target := o.target(c.index)
	opening, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	conn, err := c.swarm.dial(opening, o.source(c.index), c.control(), target.address)
	if err != nil {
		return channel{err: err}
	}
	if !c.connected(conn) {
		return channel{err: context.Canceled}
	}
	_ = conn.SetDeadline(time.Now().Add(o.timeout))
	if target.secure {
		secure := tls.Client(conn, tlsFor(o.tls, target.name, "http/1.1"))
		if err := secure.HandshakeContext(opening); err != nil {
			return channel{err: fmt.Errorf("tls: %w", err)}
		}
		conn = secure
	}
	_, err = conn.Write(c.request(target))
	return channel{conn: conn, shared: !target.secure, err: err}
}

func (c *client) request(target *target) []byte {
	o := c.swarm.options
	text := make([]byte, 0, 512)
	text = fmt.Appendf(text, "GET %s HTTP/1.1\r\nHost: %s\r\n", o.path(c.index), target.host)
	o.header(c.index, func(name, value string) { text = fmt.Appendf(text, "%s: %s\r\n", name, value) })
	if len(c.parser.lastID) > 0 {
		text = fmt.Appendf(text, "Last-Event-ID: %s\r\n", c.parser.lastID)
	}
	return append(text, '\r', '\n')
}

// take is given the next bytes of an HTTP/1.1 connection, under the lock. It returns io.EOF at the end of the stream.
func (c *client) take(conn net.Conn, data []byte) error {
	c.now = time.Now().UnixNano()
	for len(data) > 0 {
		var body []byte
		body, data = c.response.split(data)
		if !c.accepted && c.response.phase != inHead {
			if c.response.phase == broken {
				return errBroken
			}
			if !c.answer(c.response.status, c.response.isStream, c.response.retryAfter) {
				return errRefused
			}
			_ = conn.SetDeadline(time.Time{})
		}
		if len(body) > 0 {
			c.shard.bytes += int64(len(body))
			if !c.parser.feed(body, c) {
				return errBroken
			}
		}
	}
	switch c.response.phase {
	case ended:
		return io.EOF
	case broken:
		return errBroken
	}
	return nil
}

// hand gives what the callback is to have away, without the lock: it may have to wait.
func (c *client) hand() {
	if len(c.waiting) == 0 {
		return
	}
	for _, e := range c.waiting {
		select {
		case c.swarm.events <- e:
		case <-c.swarm.context.Done():
		}
	}
	c.waiting = c.waiting[:0]
}

// ownBytes is the buffer of a connection that can't be waited for without one.
const ownBytes = 4 << 10

// readOwn reads with a buffer of its own: TLS, and systems where sockets can't be waited for.
func (c *client) readOwn(conn net.Conn, reader io.Reader) error {
	buffer := make([]byte, ownBytes)
	for {
		n, err := reader.Read(buffer)
		if n > 0 {
			c.shard.Lock()
			fault := c.take(conn, buffer[:n])
			c.shard.Unlock()
			c.hand()
			if fault != nil {
				return fault
			}
		}
		if err != nil {
			return err
		}
	}
}

func tlsFor(base *tls.Config, name string, protocols ...string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		config = base.Clone()
	}
	config.NextProtos = protocols
	if config.ServerName == "" {
		config.ServerName = name
	}
	return config
}
