package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// connection is one client: its socket, its stream, and what it has had so far over all its connections.
type connection struct {
	fd      int
	index   int32
	opens   int32 // how often it was opened: tells a late wake-up for a closed socket
	sent    bool
	open    bool // the head of a good answer has come
	greeted bool // the first block has come
	settled bool // counted as open, failed or refused, the first time
	stalled bool // never reads once it is open

	beganNs   int64
	reachedNs int64
	events    int64
	last      int64
	ledger    ledger
	ledgers   map[int32]*ledger
	stream    stream
}

func (c *connection) topicLedger(topic int32, first int64) *ledger {
	l := c.ledgers[topic]
	if l == nil {
		if c.ledgers == nil {
			c.ledgers = map[int32]*ledger{}
		}
		l = newLedger(first)
		c.ledgers[topic] = l
	}
	return l
}

// newLedger expects `first` as the first number; 0: whichever comes.
func newLedger(first int64) *ledger {
	return &ledger{last: first - 1, began: first > 0}
}

// A stalled reader has the least receive buffer that the kernel gives, and the segments of an Ethernet: with those of
// loopback (64 KB) the server's kernel would take 2.5 MB for it before the server felt that nobody reads.
const (
	stalledBuffer  = 4096
	stalledSegment = 1460
)

// connect begins to open the socket; the answer comes through epoll.
func (c *connection) connect(epoll int, server unix.Sockaddr, source *unix.SockaddrInet4) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fail := func(err error) error {
		unix.Close(fd)
		return err
	}
	if source != nil {
		// The port is chosen at connect, where it only has to differ per destination.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, source); err != nil {
			return fail(err)
		}
	}
	if c.stalled {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, stalledBuffer)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, stalledSegment)
	}
	if err := unix.Connect(fd, server); err != nil && err != unix.EINPROGRESS {
		return fail(err)
	}
	c.fd, c.sent, c.open, c.greeted = fd, false, false, false
	c.opens++
	c.stream.connected()
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     c.index, Pad: c.opens,
	}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		c.fd = -1
		return fail(err)
	}
	return nil
}

// stopReading leaves the socket open and never reads from it again.
func (c *connection) stopReading(epoll int) {
	event := unix.EpollEvent{Events: unix.EPOLLET, Fd: c.index, Pad: c.opens}
	_ = unix.EpollCtl(epoll, unix.EPOLL_CTL_MOD, c.fd, &event)
}

// request writes the request; it fits into the buffer of a new socket.
func (c *connection) request(path, host, headers string) error {
	position := ""
	if len(c.stream.lastID) > 0 {
		position = fmt.Sprintf("Last-Event-ID: %s\r\n", c.stream.lastID)
	}
	text := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n%s%s\r\n",
		path, host, headers, position)
	written, err := unix.Write(c.fd, []byte(text))
	if err == nil && written < len(text) {
		return unix.EAGAIN
	}
	return err
}

// read is the bare system call: the socket never blocks, so Go's scheduler need not know.
func (c *connection) read(buffer []byte) (int, unix.Errno) {
	n, _, err := unix.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
	return int(n), err
}
