//go:build unix

package sse

import (
	"io"
	"net"
	"syscall"
)

// readShared waits for the socket without a buffer, and reads into the shard's: an idle connection costs its goroutine
// and its socket.
func (c *client) readShared(conn net.Conn) error {
	source, ok := conn.(syscall.Conn)
	if !ok {
		return c.readOwn(conn, conn)
	}
	raw, err := source.SyscallConn()
	if err != nil {
		return err
	}
	var ended error
	err = raw.Read(func(fd uintptr) bool {
		more := true
		for more && ended == nil {
			more, ended = c.readOnce(conn, int(fd))
			c.hand()
		}
		return ended != nil
	})
	if ended != nil {
		return ended
	}
	return err
}

// readOnce returns false when there is nothing to read for now. It asks until the socket says so: what is told of
// sockets is told once, and an end that came together with data would be missed.
func (c *client) readOnce(conn net.Conn, fd int) (more bool, err error) {
	c.shard.Lock()
	defer c.shard.Unlock()
	n, err := syscall.Read(fd, c.shard.buffer)
	switch {
	case n > 0:
		return true, c.take(conn, c.shard.buffer[:n])
	case err == nil:
		return false, io.EOF
	case err == syscall.EAGAIN:
		return false, nil
	case err == syscall.EINTR:
		return true, nil
	}
	return false, err
}
