package sse

import (
	"context"
	"net"
	"time"
)

// usualBuffer is what a slow reader's socket gets when it is slow no longer.
const usualBuffer = 256 << 10

// hurry lets slow readers read on like the others, for good: so their streams can be checked to the last event.
func (s *swarm) hurry() { s.hurrying.Do(func() { close(s.hurried) }) }

func (s *swarm) isHurried() bool {
	select {
	case <-s.hurried:
		return true
	default:
		return false
	}
}

// readSlowly reads some bytes a second; none at all once the stream is open when that is 0.
func (c *client) readSlowly(ctx context.Context, conn net.Conn) error {
	buffer := make([]byte, max(256, min(c.swarm.options.slowBytesPerSecond/4, ownBytes)))
	for !c.swarm.isHurried() {
		n, err := conn.Read(buffer)
		if n > 0 {
			c.shard.Lock()
			fault := c.take(conn, buffer[:n])
			greeted := c.greeted
			c.shard.Unlock()
			c.hand()
			if fault != nil {
				return fault
			}
			if !c.dawdle(ctx, n, greeted) {
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
	}
	widen(conn)
	return c.readOwn(conn, conn)
}

// dawdle waits for as long as so many bytes take at the slow reader's rate; false: the swarm is closing.
func (c *client) dawdle(ctx context.Context, bytes int, greeted bool) bool {
	rate := c.swarm.options.slowBytesPerSecond
	var over <-chan time.Time // never, when it reads nothing more
	if rate > 0 {
		timer := time.NewTimer(time.Duration(float64(bytes) / float64(rate) * float64(time.Second)))
		defer timer.Stop()
		over = timer.C
	} else if !greeted {
		return true
	}
	select {
	case <-over:
	case <-c.swarm.hurried:
	case <-ctx.Done():
		return false
	}
	return true
}

// widen gives a socket the buffer that others have.
func widen(conn net.Conn) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if plain, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		_ = plain.SetReadBuffer(usualBuffer)
	}
}
