package sse

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// A slow reader has the least receive buffer that the kernel gives, and the segments of an Ethernet: with those of
// loopback (64 KB) the kernel would take megabytes for it before the server felt that nobody reads.
const (
	slowBuffer  = 4096
	slowSegment = 1460
)

// control sets what has to be set before a socket is bound and connected.
func (c *client) control() controlFunc {
	bound, slow := len(c.swarm.options.sources) > 0, c.slow && !c.swarm.isHurried()
	if !bound && !slow {
		return nil
	}
	return func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			if bound {
				// The port is chosen at connect, where it only has to differ per destination.
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			}
			if slow {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, slowBuffer)
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, slowSegment)
			}
		})
	}
}
