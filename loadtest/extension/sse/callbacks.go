package sse

import (
	"sync"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/modules"
)

// callbacks bring events to a function of the script, on the event loop of its virtual user: never beside other code
// of the script. Streams wait while many events are under way, so this is for small tests.
type callbacks struct {
	vu       modules.VU
	function sobek.Callable
	slot     chan func(func() error)
	wake     chan struct{}

	lock   sync.Mutex
	queue  []event
	room   *sync.Cond
	closed bool
}

const mostQueued = 1000

// newCallbacks must be called on the event loop.
func newCallbacks(vu modules.VU, function sobek.Callable) *callbacks {
	c := &callbacks{vu: vu, function: function, slot: make(chan func(func() error), 1), wake: make(chan struct{}, 1)}
	c.room = sync.NewCond(&c.lock)
	c.slot <- vu.RegisterCallback()
	return c
}

func (c *callbacks) add(e event) {
	c.lock.Lock()
	for len(c.queue) >= mostQueued && !c.closed {
		c.room.Wait()
	}
	c.queue = append(c.queue, e)
	c.lock.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run ends when the swarm has.
func (c *callbacks) run(ended <-chan struct{}) {
	for {
		select {
		case <-c.wake:
			select {
			case callback := <-c.slot:
				callback(c.deliver)
			case <-ended:
				c.end()
				return
			}
		case <-ended:
			c.end()
			return
		}
	}
}

func (c *callbacks) end() {
	c.lock.Lock()
	c.closed = true
	c.room.Broadcast()
	c.lock.Unlock()
	select {
	case callback := <-c.slot:
		callback(func() error { return nil })
	default:
	}
}

// deliver runs on the event loop.
func (c *callbacks) deliver() error {
	c.lock.Lock()
	queue := c.queue
	c.queue = nil
	c.room.Broadcast()
	if !c.closed {
		c.slot <- c.vu.RegisterCallback()
	}
	c.lock.Unlock()
	runtime := c.vu.Runtime()
	for _, e := range queue {
		object := runtime.NewObject()
		for name, value := range map[string]any{
			"id": e.id, "type": e.kind, "data": e.data, "connection": e.connection, "receivedAt": e.receivedMs,
		} {
			if err := object.Set(name, value); err != nil {
				return err
			}
		}
		if _, err := c.function(sobek.Undefined(), object); err != nil {
			return err
		}
	}
	return nil
}
