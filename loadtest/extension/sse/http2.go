package sse

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// h2Pool shares connections between the streams of many clients, as many streams to each as it is told.
type h2Pool struct {
	swarm     *swarm
	transport *http2.Transport
	lock      sync.Mutex
	shared    []*h2Shared
}

type h2Shared struct {
	key    string
	client *http2.ClientConn
	used   int
}

func newH2Pool(s *swarm) *h2Pool {
	return &h2Pool{swarm: s, transport: &http2.Transport{
		AllowHTTP: true, DisableCompression: true, ReadIdleTimeout: 30 * time.Second,
	}}
}

// take finds room for a stream; connections are opened one after the other.
func (p *h2Pool) take(ctx context.Context, c *client, target *target) (*h2Shared, error) {
	source := p.swarm.options.source(c.index)
	key := fmt.Sprint(target.origin(), source)
	p.lock.Lock()
	defer p.lock.Unlock()
	usable := p.shared[:0]
	var found *h2Shared
	for _, s := range p.shared {
		if s.client.State().Closed {
			continue
		}
		usable = append(usable, s)
		if found == nil && s.key == key && s.used < p.swarm.options.streamsPerConnection && s.client.CanTakeNewRequest() {
			found = s
		}
	}
	p.shared = usable
	if found == nil {
		conn, err := p.open(ctx, c, target, source)
		if err != nil {
			return nil, err
		}
		found = &h2Shared{key: key, client: conn}
		p.shared = append(p.shared, found)
	}
	found.used++
	return found, nil
}

func (p *h2Pool) open(ctx context.Context, c *client, target *target, source net.IP) (*http2.ClientConn, error) {
	conn, err := p.swarm.dial(ctx, source, c.control(), target.address)
	if err != nil {
		return nil, err
	}
	if target.secure {
		secure := tls.Client(conn, tlsFor(p.swarm.options.tls, target.name, "h2"))
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("tls: %w", err)
		}
		if secure.ConnectionState().NegotiatedProtocol != "h2" {
			_ = conn.Close()
			return nil, fmt.Errorf("tls: the server does not speak HTTP/2")
		}
		conn = secure
	}
	return p.transport.NewClientConn(conn)
}

func (p *h2Pool) give(s *h2Shared) {
	p.lock.Lock()
	defer p.lock.Unlock()
	s.used--
}

func (p *h2Pool) close() {
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, s := range p.shared {
		_ = s.client.Close()
	}
	p.shared = nil
}

// cancelled ends a stream by its context.
type cancelled context.CancelFunc

func (c cancelled) Close() error {
	c()
	return nil
}

func (c *client) followHTTP2(ctx context.Context) error {
	o := c.swarm.options
	target := o.target(c.index)
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	if !c.connected(cancelled(cancel)) {
		return context.Canceled
	}
	patience := time.AfterFunc(o.timeout, cancel)
	defer patience.Stop()
	shared, err := c.swarm.h2.take(streaming, c, target)
	if err != nil {
		return err
	}
	defer c.swarm.h2.give(shared)
	request, err := http.NewRequestWithContext(streaming, http.MethodGet, target.origin()+o.path(c.index), nil)
	if err != nil {
		return err
	}
	o.header(c.index, func(name, value string) {
		if http.CanonicalHeaderKey(name) == "Host" {
			request.Host = value
		} else {
			request.Header.Add(name, value)
		}
	})
	if len(c.parser.lastID) > 0 {
		request.Header.Set("Last-Event-ID", string(c.parser.lastID))
	}
	response, err := shared.client.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	retryAfter, _ := number([]byte(response.Header.Get("Retry-After")))
	c.shard.Lock()
	c.now = time.Now().UnixNano()
	accepted := c.answer(response.StatusCode, isEventStream(response.Header.Get("Content-Type")), retryAfter)
	c.shard.Unlock()
	if !accepted {
		return errRefused
	}
	patience.Stop()
	return c.readBody(ctx, response.Body)
}

// readBody reads the body of an HTTP/2 stream. A slow reader does not take its bytes, so the stream's window closes.
func (c *client) readBody(ctx context.Context, body io.Reader) error {
	buffer := make([]byte, ownBytes)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			c.shard.Lock()
			c.now = time.Now().UnixNano()
			c.shard.bytes += int64(n)
			fine := c.parser.feed(buffer[:n], c)
			greeted := c.greeted
			c.shard.Unlock()
			c.hand()
			if !fine {
				return errBroken
			}
			if c.slow && !c.dawdle(ctx, n, greeted) {
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
	}
}
