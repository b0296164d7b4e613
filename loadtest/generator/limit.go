package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitReport says what the bare server did.
type limitReport struct {
	Connections int     `json:"connections"`
	Sent        int64   `json:"sent"`
	Skipped     int64   `json:"skipped"`
	Blocked     int64   `json:"blocked"`
	CPUSeconds  float64 `json:"cpuSeconds"`
}

// limit is the least that a server on one core can do: it accepts, answers, and writes the same bytes to every socket,
// one write each. It has no topics, no log, no positions, and it forgets whoever does not keep up.
func limit(args []string) (any, error) {
	f := flag.NewFlagSet("limit", flag.ContinueOnError)
	address := f.String("address", "127.0.0.1:3010", "to listen on, loopback only")
	rate := f.Float64("rate", 100, "events per second")
	size := f.Int("size", 100, "bytes of padding per event")
	after := f.Int("after", 1, "connections that must be there before the first event")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	listen, err := loopback(*address)
	if err != nil {
		return nil, err
	}
	server, err := newLimitServer(&unix.SockaddrInet4{Port: listen.Port, Addr: [4]byte(listen.IP.To4())})
	if err != nil {
		return nil, err
	}
	var stop atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		stop.Store(true)
	}()
	tell("ready")
	server.run(*rate, *after, bytes.Repeat([]byte("x"), *size), &stop)
	server.report.CPUSeconds = round(cpuSeconds(), 3)
	return &server.report, nil
}

type limitServer struct {
	epoll, listener int
	clients         []int
	buffer          []byte
	report          limitReport
}

// settle is the time from the last connection to the first event.
const settle = time.Second

func newLimitServer(address *unix.SockaddrInet4) (*limitServer, error) {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, err
	}
	if err := unix.Bind(listener, address); err != nil {
		return nil, err
	}
	if err := unix.Listen(listener, 4096); err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(listener)}
	return &limitServer{epoll: epoll, listener: listener, buffer: make([]byte, 64<<10)},
		unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, listener, &event)
}

func (l *limitServer) run(rate float64, after int, padding []byte, stop *atomic.Bool) {
	events := make([]unix.EpollEvent, 512)
	var start time.Time
	var due, done int64
	var frame []byte
	for !stop.Load() {
		n, _ := unix.EpollWait(l.epoll, events, untilDue(start, done, rate))
		for i := 0; i < n; i++ {
			if int(events[i].Fd) == l.listener {
				l.accept()
			} else {
				l.answer(int(events[i].Fd))
			}
		}
		if start.IsZero() {
			if len(l.clients) >= after {
				start = time.Now().Add(settle)
			}
			continue
		}
		due = int64(time.Since(start).Seconds() * rate)
		if due <= done {
			continue
		}
		// More than two seconds behind: what can't be sent is not queued.
		if late := due - done - 1; float64(late) > 2*rate {
			l.report.Skipped += late
			done += late
		}
		done++
		l.report.Sent++
		frame = fmt.Appendf(frame[:0], "id: e-%d\nevent: message\ndata: {\"n\":%d,\"t\":%d,\"p\":\"%s\"}\n\n",
			l.report.Sent, l.report.Sent, time.Now().UnixNano(), padding)
		l.write(frame)
	}
}

// untilDue is in milliseconds, rounded up: it wakes when there is something to do, and not before.
func untilDue(start time.Time, done int64, rate float64) int {
	if start.IsZero() {
		return 20
	}
	wait := time.Duration(float64(done+1)/rate*1e9) - time.Since(start)
	return int(min(20, max(0, (wait+time.Millisecond-1)/time.Millisecond)))
}

func (l *limitServer) accept() {
	for {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event)
	}
}

const limitHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n"

// answer takes whatever comes first as the request.
func (l *limitServer) answer(fd int) {
	n, err := unix.Read(fd, l.buffer)
	if err == unix.EAGAIN {
		return
	}
	if n <= 0 || err != nil {
		l.close(fd)
		return
	}
	if _, err := unix.Write(fd, []byte(limitHead)); err == nil {
		l.clients = append(l.clients, fd)
		l.report.Connections = max(l.report.Connections, len(l.clients))
	}
}

func (l *limitServer) write(frame []byte) {
	var broken []int
	for _, fd := range l.clients {
		written, err := unix.Write(fd, frame)
		if written == len(frame) {
			continue
		}
		l.report.Blocked++
		// Half a frame can't be mended without a queue.
		if err != unix.EAGAIN {
			broken = append(broken, fd)
		}
	}
	for _, fd := range broken {
		l.close(fd)
	}
}

func (l *limitServer) close(fd int) {
	unix.Close(fd)
	if i := slices.Index(l.clients, fd); i >= 0 {
		l.clients = slices.Delete(l.clients, i, i+1)
	}
}
