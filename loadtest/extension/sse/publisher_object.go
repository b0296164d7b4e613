package sse

import (
	"github.com/grafana/sobek"
	"go.k6.io/k6/js/promises"
	"go.k6.io/k6/lib"
)

// publisherObject is a publisher as scripts see it.
type publisherObject struct {
	instance  *instance
	publisher *publisher
}

func newPublisherObject(i *instance, state *lib.State, options *publisherOptions, tags map[string]string) *sobek.Object {
	emitter := newPublishEmitter(newEmitter(i.vu.Context(), state, i.instruments, tags))
	o := &publisherObject{instance: i}
	keep := i.vu.RegisterCallback()
	o.publisher = startPublisher(i.vu.Context(), options, httpClient(state, options.workers), i.module.published,
		i.module.runID, func(window *publishWindow) {
			emitter.report(window)
			i.module.timeline.at(func(p *point) { p.published += window.stored })
		})
	go func() {
		<-o.publisher.ended
		keep(func() error { return nil })
	}()
	object := i.vu.Runtime().NewObject()
	for name, method := range map[string]any{"done": o.done, "stop": o.stop} {
		must(i.vu.Runtime(), object.Set(name, method))
	}
	return object
}

// done resolves with the result when the publisher has come to its end, and rejects when publishing was refused.
func (o *publisherObject) done() *sobek.Promise {
	promise, resolve, reject := promises.New(o.instance.vu)
	go func() {
		p := o.publisher
		<-p.ended
		if p.err != nil {
			reject(p.err)
			return
		}
		resolve(map[string]any{
			"stored": p.totals.stored, "retries": p.totals.retries, "seconds": p.totals.seconds,
			"durationMs": percentiles(&p.totals.duration), "counts": p.own,
		})
	}()
	return promise
}

// stop ends the publisher; what is under way is still stored. It returns what done does.
func (o *publisherObject) stop() *sobek.Promise {
	o.publisher.cancel()
	return o.done()
}
