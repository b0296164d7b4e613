import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Every metric of the gateway. No label takes a value from a request: the number of series is fixed. */
export type Metrics = ReturnType<typeof createMetrics>

/** What is read when somebody scrapes, instead of being counted on the way. */
export interface Readings {
  connections: () => Record<string, number>
  counters: () => {
    flushes: number
    joins: number
    writes: number
    deliveredEvents: number
    deliveredBytes: number
  }
  tailLag: () => number
  tailPosition: () => number
  tailReopened: () => number
  recentLogBytes: () => number
  recentLogAgeSeconds: () => number
  recentLogEvents: () => number
  unsentBytes: () => number
  groups: () => number
  replayWaiting: () => number
  draining: () => boolean
}

export function createMetrics(readings: Readings) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 10 })

  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })

  new Gauge({
    name: 'sse_connections',
    help: 'Open streams by state: live, behind (catching up from memory), blocked (the socket pushes back), early (ahead of this pod), replaying (catching up from the stream).',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(readings.connections())) this.set({ state }, count)
    },
  })
  gauge('sse_groups', 'Distinct topic sets that are subscribed to.', readings.groups)
  counter(
    'sse_events_delivered_total',
    'Events written to streams, live and replayed.',
    () => readings.counters().deliveredEvents,
  )
  counter(
    'sse_bytes_delivered_total',
    'Bytes of events written to streams.',
    () => readings.counters().deliveredBytes,
  )
  counter(
    'sse_flushes_total',
    'Flushes: rounds in which what had arrived went out together.',
    () => readings.counters().flushes,
  )
  counter(
    'sse_flush_joins_total',
    'Times that frames were joined for a group.',
    () => readings.counters().joins,
  )
  counter(
    'sse_flush_writes_total',
    'Writes to sockets by flushes and catching up.',
    () => readings.counters().writes,
  )
  gauge('sse_tail_lag_events', 'Events in the log that this pod has not read yet.', readings.tailLag)
  gauge('sse_tail_position', 'Newest sequence that this pod has read.', readings.tailPosition)
  counter(
    'sse_tail_opened_total',
    'Times that the log tail was opened; more than one means that it had to recover.',
    readings.tailReopened,
  )
  gauge('sse_recent_log_bytes', 'Memory of the recent log.', readings.recentLogBytes)
  gauge(
    'sse_recent_log_age_seconds',
    'Age of the oldest event in the recent log: how far back a resume is cheap.',
    readings.recentLogAgeSeconds,
  )
  gauge('sse_recent_log_events', 'Sequences that the recent log spans.', readings.recentLogEvents)
  gauge('sse_unsent_bytes', 'Memory held for sockets that push back.', readings.unsentBytes)
  gauge(
    'sse_replay_waiting',
    'Streams that wait for, or are in, a replay from the stream.',
    readings.replayWaiting,
  )
  gauge('sse_draining', '1 while the pod is draining.', () => (readings.draining() ? 1 : 0))

  return {
    registry,
    connects: new Counter({ name: 'sse_connects_total', help: 'Streams begun.', registers }),
    refused: new Counter({
      name: 'sse_connects_refused_total',
      help: 'Requests for a stream that were refused, by problem.',
      labelNames: ['reason'],
      registers,
    }),
    closed: new Counter({
      name: 'sse_connections_closed_total',
      help: 'Streams ended, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    gaps: new Counter({
      name: 'sse_gaps_total',
      help: 'Positions that could not be honoured and were announced as a gap, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    replays: new Counter({
      name: 'sse_replays_total',
      help: 'Resumes by source (memory: the recent log; stream: JetStream) and outcome.',
      labelNames: ['source', 'outcome'],
      registers,
    }),
    deliveryLatency: new Histogram({
      name: 'sse_delivery_latency_seconds',
      help: 'From the log’s time of an event until it was written to all its live streams.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
  }
}
