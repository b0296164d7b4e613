package sse

import (
	"context"
	"time"

	"go.k6.io/k6/lib"
	"go.k6.io/k6/metrics"
)

// instruments are the module's k6 metrics. Times are in milliseconds, as k6's own.
type instruments struct {
	connections, connectDuration, firstBlockDuration       *metrics.Metric
	events, bytes, latency                                 *metrics.Metric
	lost, duplicated, outOfOrder, gaps, announced          *metrics.Metric
	reconnects, resumeOK, connectErrors, turnedAway        *metrics.Metric
	published, publishDuration, publishRetries, unverified *metrics.Metric
}

func newInstruments(r *metrics.Registry) *instruments {
	return &instruments{
		connections:        r.MustNewMetric("sse_connections", metrics.Gauge),
		connectDuration:    r.MustNewMetric("sse_connect_duration", metrics.Trend, metrics.Time),
		firstBlockDuration: r.MustNewMetric("sse_first_block_duration", metrics.Trend, metrics.Time),
		events:             r.MustNewMetric("sse_events", metrics.Counter),
		bytes:              r.MustNewMetric("sse_bytes", metrics.Counter, metrics.Data),
		latency:            r.MustNewMetric("sse_latency", metrics.Trend, metrics.Time),
		lost:               r.MustNewMetric("sse_lost", metrics.Counter),
		duplicated:         r.MustNewMetric("sse_duplicated", metrics.Counter),
		outOfOrder:         r.MustNewMetric("sse_out_of_order", metrics.Counter),
		gaps:               r.MustNewMetric("sse_gaps", metrics.Counter),
		announced:          r.MustNewMetric("sse_gap_events", metrics.Counter),
		reconnects:         r.MustNewMetric("sse_reconnects", metrics.Counter),
		resumeOK:           r.MustNewMetric("sse_resume_ok", metrics.Rate),
		connectErrors:      r.MustNewMetric("sse_connect_errors", metrics.Counter),
		turnedAway:         r.MustNewMetric("sse_turned_away", metrics.Counter),
		unverified:         r.MustNewMetric("sse_unverified", metrics.Counter),
		published:          r.MustNewMetric("sse_published", metrics.Counter),
		publishDuration:    r.MustNewMetric("sse_publish_duration", metrics.Trend, metrics.Time),
		publishRetries:     r.MustNewMetric("sse_publish_retries", metrics.Counter),
	}
}

// emitter hands batches of samples to k6: one per second and swarm.
type emitter struct {
	context context.Context
	state   *lib.State
	metrics *instruments
	tags    *metrics.TagSet
	batch   []metrics.Sample
	now     time.Time
}

func newEmitter(ctx context.Context, state *lib.State, m *instruments, tags map[string]string) *emitter {
	set := state.Tags.GetCurrentValues().Tags
	for name, value := range tags {
		set = set.With(name, value)
	}
	return &emitter{context: ctx, state: state, metrics: m, tags: set}
}

func (e *emitter) begin() { e.batch, e.now = nil, time.Now() }

func (e *emitter) add(metric *metrics.Metric, value float64) { e.addTagged(metric, e.tags, value) }

func (e *emitter) addTagged(metric *metrics.Metric, tags *metrics.TagSet, value float64) {
	e.batch = append(e.batch, metrics.Sample{
		TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags}, Time: e.now, Value: value,
	})
}

func (e *emitter) push() {
	if len(e.batch) > 0 {
		metrics.PushIfNotDone(e.context, e.state.Samples, metrics.Samples(e.batch))
	}
}

// swarmEmitter turns what a swarm has counted into samples. Counters are one sample a second. Of latencies every k-th
// in the order of size is a sample, k the same over the run, so that k6's percentiles are those of all events.
type swarmEmitter struct {
	*emitter
	connect, firstBlock, latency sampler
	warned                       bool
}

// mostSamples bounds what one swarm pushes of one metric in a second.
const mostSamples = 20_000

func newSwarmEmitter(e *emitter, sampleEvery uint64) *swarmEmitter {
	return &swarmEmitter{emitter: e, connect: sampler{every: 1, limit: mostSamples},
		firstBlock: sampler{every: 1, limit: mostSamples}, latency: sampler{every: sampleEvery, limit: mostSamples}}
}

// report tells of a second; `open` is of all swarms with the same tags.
func (e *swarmEmitter) report(w *totals, open int) {
	m := e.metrics
	e.begin()
	e.add(m.connections, float64(open))
	// Counters that a threshold may name are told even when they are 0: a threshold on what was never told passes.
	e.add(m.events, float64(w.events))
	e.add(m.bytes, float64(w.bytes))
	e.add(m.lost, float64(w.lost))
	e.add(m.duplicated, float64(w.duplicated))
	e.add(m.outOfOrder, float64(w.outOfOrder))
	e.add(m.announced, float64(w.announced))
	e.add(m.reconnects, float64(w.reconnects))
	e.add(m.turnedAway, float64(w.turnedAway))
	e.add(m.unverified, float64(w.unchecked))
	e.tagged(m.gaps, w.gaps)
	e.tagged(m.connectErrors, w.errors)
	for range w.resumed {
		e.add(m.resumeOK, 1)
	}
	for range w.notResumed {
		e.add(m.resumeOK, 0)
	}
	e.connect.pick(&w.connect, func(ms float64) { e.add(m.connectDuration, ms) })
	e.firstBlock.pick(&w.firstBlock, func(ms float64) { e.add(m.firstBlockDuration, ms) })
	if !e.latency.pick(&w.latency, func(ms float64) { e.add(m.latency, ms) }) && !e.warned {
		e.warned = true
		e.state.Logger.Warn("sse: so many events that fewer latencies become k6 samples from now on; " +
			"the swarm's own result stays exact. Set sampleEvery higher from the start.")
	}
	e.push()
}

func (e *swarmEmitter) tagged(metric *metrics.Metric, counts map[string]int64) {
	if len(counts) == 0 {
		e.add(metric, 0)
	}
	for reason, count := range counts {
		e.addTagged(metric, e.tags.With("reason", reason), float64(count))
	}
}

type publishEmitter struct {
	*emitter
	duration sampler
}

func newPublishEmitter(e *emitter) *publishEmitter {
	return &publishEmitter{emitter: e, duration: sampler{every: 1, limit: mostSamples}}
}

func (e *publishEmitter) report(w *publishWindow) {
	e.begin()
	e.add(e.metrics.published, float64(w.stored))
	e.add(e.metrics.publishRetries, float64(w.retries))
	e.duration.pick(&w.duration, func(ms float64) { e.add(e.metrics.publishDuration, ms) })
	e.push()
}
