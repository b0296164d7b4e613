package sse

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/promises"
	"go.k6.io/k6/lib"
	"go.k6.io/k6/lib/netext"
)

// swarmObject is a swarm as scripts see it. The iteration goes on until it is closed.
type swarmObject struct {
	instance *instance
	swarm    *swarm
	options  *scriptOptions
	began    time.Time
	finish   func()
}

func newSwarmObject(i *instance, state *lib.State, options *scriptOptions) *sobek.Object {
	o := &swarmObject{instance: i, options: options, began: time.Now()}
	emitter := newSwarmEmitter(newEmitter(i.vu.Context(), state, i.instruments, options.tags), options.sampleEvery)
	if options.callback != nil {
		callbacks := newCallbacks(i.vu, options.callback)
		options.onEvent = callbacks.add
		defer func() { go callbacks.run(o.swarm.ended) }()
	}
	keep := i.vu.RegisterCallback()
	o.finish = sync.OnceFunc(func() { keep(func() error { return nil }) })
	o.swarm = newSwarm(i.vu.Context(), &options.swarmOptions, dialer(state), i.module.published,
		func(window *totals, open int) {
			emitter.report(window, i.module.open.set(emitter.tags, o.swarm, open))
			if own, ok := state.Dialer.(*netext.Dialer); ok {
				// For k6's own data_received, which it reads at the end of the iteration.
				atomic.AddInt64(&own.BytesRead, window.bytes)
			}
			i.module.timeline.at(func(p *point) { p.saw(o.swarm, open, window) })
		})
	o.swarm.start()
	go func() {
		<-o.swarm.ended
		o.finish()
	}()
	object := i.vu.Runtime().NewObject()
	for name, method := range map[string]any{
		"opened": o.opened, "sleep": o.sleep, "complete": o.complete, "present": o.present, "stats": o.stats,
		"window": o.window, "cut": o.cut, "close": o.close,
	} {
		must(i.vu.Runtime(), object.Set(name, method))
	}
	return object
}

// opened resolves when every client is served or has given up, or after the timeout.
func (o *swarmObject) opened(value sobek.Value) *sobek.Promise {
	f := readFields(o.instance.vu.Runtime(), "opened", value)
	wait := f.duration("timeout", time.Duration(1<<62))
	must(o.instance.vu.Runtime(), f.check())
	promise, resolve, _ := promises.New(o.instance.vu)
	s := o.swarm
	go func() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-s.allIn:
		case <-timer.C:
		case <-s.context.Done():
		}
		resolve(map[string]any{
			"open": s.open.Load(), "opened": s.opened.Load(), "failed": int64(len(s.clients)) - s.opened.Load(),
			"seconds": time.Since(o.began).Seconds(),
		})
	}()
	return promise
}

func (o *swarmObject) sleep(value sobek.Value) *sobek.Promise { return o.instance.sleep(value) }

// complete resolves when every client has everything that was published, or after the timeout; what is missing then is
// lost.
func (o *swarmObject) complete(value sobek.Value) *sobek.Promise {
	runtime := o.instance.vu.Runtime()
	f := readFields(runtime, "complete", value)
	wait := f.duration("timeout", 30*time.Second)
	counts := o.instance.module.published.counts()
	strict := false
	if given := f.get("counts"); given != nil {
		strict = true
		counts = map[string]int64{}
		must(runtime, runtime.ExportTo(given, &counts))
	}
	must(runtime, f.check())
	promise, resolve, _ := promises.New(o.instance.vu)
	began := time.Now()
	go func() {
		missing := o.swarm.complete(counts, strict, wait)
		resolve(map[string]any{"missing": missing, "seconds": time.Since(began).Seconds()})
	}()
	return promise
}

// present resolves when every client was seen with an open stream, or after the timeout.
func (o *swarmObject) present(value sobek.Value) *sobek.Promise {
	f := readFields(o.instance.vu.Runtime(), "present", value)
	wait := f.duration("timeout", 30*time.Second)
	must(o.instance.vu.Runtime(), f.check())
	promise, resolve, _ := promises.New(o.instance.vu)
	began := time.Now()
	go func() {
		away := o.swarm.present(wait)
		resolve(map[string]any{"away": away, "seconds": time.Since(began).Seconds()})
	}()
	return promise
}

func (o *swarmObject) stats() map[string]any {
	o.swarm.flush()
	return o.result()
}

// window is what came since the last call.
func (o *swarmObject) window() map[string]any {
	s := o.swarm
	s.flush()
	s.reporting.Lock()
	seen := s.window
	s.window = totals{}
	s.reporting.Unlock()
	return o.describe(&seen)
}

// cut ends a share of the connections, as a lost network does.
func (o *swarmObject) cut(value sobek.Value) int {
	f := readFields(o.instance.vu.Runtime(), "cut", value)
	share := f.number("share", 1, 0, 1)
	within := time.Duration(-1)
	if f.get("comeBackWithin") != nil {
		within = f.duration("comeBackWithin", 0)
	}
	must(o.instance.vu.Runtime(), f.check())
	return o.swarm.cut(share, within)
}

// close ends all connections and returns the result.
func (o *swarmObject) close() map[string]any {
	first := false
	o.swarm.closing.Do(func() { first = true })
	open := o.swarm.open.Load()
	o.swarm.close()
	o.finish()
	result := o.result()
	result["open"] = open
	if first {
		o.instance.module.results.add(result)
	}
	return result
}

func (o *swarmObject) result() map[string]any {
	s := o.swarm
	s.reporting.Lock()
	defer s.reporting.Unlock()
	return o.describe(&s.totals)
}

func (o *swarmObject) describe(t *totals) map[string]any {
	s := o.swarm
	return map[string]any{
		"name": o.options.name, "connections": len(s.clients), "open": s.open.Load(), "opened": s.opened.Load(),
		"seconds": time.Since(o.began).Seconds(), "events": t.events, "bytes": t.bytes,
		"lost": t.lost, "tailLost": t.tailLost, "duplicated": t.duplicated, "outOfOrder": t.outOfOrder,
		"gaps": copied(t.gaps), "gapEvents": t.announced, "reconnects": t.reconnects, "resumed": t.resumed,
		"notResumed": t.notResumed, "refused": t.refused, "failed": t.failed, "turnedAway": t.turnedAway,
		"closed": t.closed, "closing": t.closing, "unverified": t.unchecked, "connectErrors": copied(t.errors),
		"connectMs": percentiles(&t.connect), "firstBlockMs": percentiles(&t.firstBlock),
		"latencyMs": percentiles(&t.latency),
	}
}

func copied(counts map[string]int64) map[string]int64 { return added(map[string]int64{}, counts) }

// percentiles are exact to 1 %, of everything that was counted. Those of several processes can be made of the buckets.
func percentiles(h *histogram) map[string]any {
	return map[string]any{
		"buckets": h.buckets(),
		"count":   h.total, "p50": h.percentile(0.5), "p90": h.percentile(0.9), "p99": h.percentile(0.99),
		"p999": h.percentile(0.999), "max": float64(h.max) / 1e6,
	}
}

// results are those of the swarms that were closed, for the summary.
type results struct {
	lock sync.Mutex
	all  []map[string]any
}

const mostResults = 1000

func (r *results) add(result map[string]any) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if len(r.all) < mostResults {
		r.all = append(r.all, result)
	}
}

func (r *results) list() []map[string]any {
	r.lock.Lock()
	defer r.lock.Unlock()
	return append([]map[string]any{}, r.all...)
}
