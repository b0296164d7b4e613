import { Counter, Gauge, Histogram } from 'prom-client'
import { natsConnectedGauge, serviceRegistry } from '../common/metrics.ts'
import type { ProblemName } from '../common/problem.ts'
import { gapReasons } from '../contract/event.ts'
import type { GatewaySettings } from './config.ts'
import type { Readings } from './readings.ts'
import { closeReasons } from './sse-frame.ts'

/** Every metric of the gateway. No label takes a value from a request: the number of series is fixed. */
export type Metrics = ReturnType<typeof createMetrics>

/** What is read when somebody scrapes, instead of being counted on the way. */
export type ReadingValues = Omit<Readings, 'tick'>

/** Problems that a request for a stream can meet. */
const refusals: ProblemName[] = [
  ...(['bad-request', 'bad-topic', 'bad-position', 'too-many-topics', 'uri-too-long'] as const),
  ...(['unauthenticated', 'forbidden', 'not-acceptable', 'not-found', 'method-not-allowed'] as const),
  ...(['too-many-requests', 'unavailable', 'internal'] as const),
]
const fineSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const coarseSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const deliverySeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const eventCounts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]

export type Limits = Pick<GatewaySettings, 'MAX_CONNECTIONS' | 'RECENT_LOG_BYTES' | 'MAX_UNSENT_BYTES'>

export function createMetrics(readings: ReadingValues, limits: Limits) {
  const registry = serviceRegistry()
  const registers = [registry]

  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  const readCounter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  /** Known reasons begin at 0: a rate does not see the first one of a series that was not there before. */
  const reasonCounter = (name: string, help: string, reasons: readonly string[]) => {
    const made = new Counter({ name, help, labelNames: ['reason'], registers })
    for (const reason of reasons) made.inc({ reason }, 0)
    return made
  }
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers })

  new Gauge({
    name: 'sse_connections',
    help: 'Open streams by state: live, behind (catching up from memory), blocked (the socket pushes back), early (ahead of this pod), replaying (catching up from the stream).',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(readings.connections)) this.set({ state }, count)
    },
  })
  gauge(
    'sse_connections_limit',
    'Most streams that this pod takes (MAX_CONNECTIONS).',
    () => limits.MAX_CONNECTIONS,
  )
  gauge('sse_groups', 'Distinct topic sets that are subscribed to.', () => readings.groups)
  gauge(
    'sse_behind_events',
    'How far the stream that is furthest behind this pod’s tail is behind it, in sequences of the log; 0 when all are live.',
    () => readings.behindEvents,
  )
  readCounter(
    'sse_events_delivered_total',
    'Events written to streams, live and replayed.',
    () => readings.counters.deliveredEvents,
  )
  readCounter(
    'sse_bytes_delivered_total',
    'Bytes of events written to streams.',
    () => readings.counters.deliveredBytes,
  )
  readCounter(
    'sse_flushes_total',
    'Flushes: rounds in which what had arrived went out together.',
    () => readings.counters.flushes,
  )
  readCounter(
    'sse_flush_joins_total',
    'Times that frames were joined for a group.',
    () => readings.counters.joins,
  )
  readCounter(
    'sse_flush_writes_total',
    'Writes to sockets by flushes and catching up.',
    () => readings.counters.writes,
  )
  gauge('sse_tail_lag_events', 'Events in the log that this pod has not read yet.', () => readings.tailLag)
  gauge(
    'sse_tail_lag_seconds',
    'How old what this pod has of the log is: seconds since its newest event while the log has newer ones, seconds since the log was last followed while it can’t be; 0 when it has all.',
    () => readings.tailLagSeconds,
  )
  gauge('sse_tail_position', 'Newest sequence that this pod has read.', () => readings.tailPosition)
  readCounter(
    'sse_tail_opened_total',
    'Times that the log tail was opened; more than one means that it had to recover.',
    () => readings.tailReopened,
  )
  gauge('sse_recent_log_bytes', 'Memory of the recent log in bytes.', () => readings.recentLogBytes)
  gauge(
    'sse_recent_log_bytes_limit',
    'Most memory of the recent log in bytes (RECENT_LOG_BYTES).',
    () => limits.RECENT_LOG_BYTES,
  )
  gauge(
    'sse_recent_log_age_seconds',
    'Age of the oldest event in the recent log: how far back a resume is cheap.',
    () => readings.recentLogAgeSeconds,
  )
  gauge('sse_recent_log_events', 'Sequences that the recent log spans.', () => readings.recentLogEvents)
  gauge('sse_unsent_bytes', 'Memory in bytes held for sockets that push back.', () => readings.unsentBytes)
  gauge(
    'sse_unsent_bytes_limit',
    'Most of it in bytes (MAX_UNSENT_BYTES); beyond it those stalled longest are closed.',
    () => limits.MAX_UNSENT_BYTES,
  )
  gauge(
    'sse_replay_waiting',
    'Streams that wait for, or are in, a replay from the stream.',
    () => readings.replayWaiting,
  )
  gauge('sse_draining', '1 while the pod is draining.', () => (readings.draining ? 1 : 0))
  gauge(
    'sse_drain_remaining',
    'Streams still to be closed while the pod is draining, else 0.',
    () => readings.drainRemaining,
  )

  const replays = new Counter({
    name: 'sse_replays_total',
    help: 'Resumes by source (memory: the recent log; stream: JetStream) and outcome: completed, expired (told of a gap), failed (a read that is tried again).',
    labelNames: ['source', 'outcome'],
    registers,
  })
  replays.inc({ source: 'memory', outcome: 'completed' }, 0)
  for (const outcome of ['completed', 'expired', 'failed']) replays.inc({ source: 'stream', outcome }, 0)

  const resumes = new Counter({
    name: 'sse_resumes_total',
    help: 'Streams that began from a position, or a time in the past, by outcome: ok (they went on exactly there) or gap (they were told of one).',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of ['ok', 'gap']) resumes.inc({ outcome }, 0)

  return {
    registry,
    resumes,
    natsConnected: natsConnectedGauge(registry),
    connects: new Counter({ name: 'sse_connects_total', help: 'Streams begun.', registers }),
    refused: reasonCounter(
      'sse_connects_refused_total',
      'Requests for a stream that were refused, by problem.',
      refusals,
    ),
    closed: reasonCounter('sse_connections_closed_total', 'Streams ended, by reason.', closeReasons),
    gaps: reasonCounter(
      'sse_gaps_total',
      'Positions that could not be honoured and were announced as a gap, by reason.',
      gapReasons,
    ),
    replays,
    replayedEvents: new Counter({
      name: 'sse_replay_events_total',
      help: 'Events written to streams that were read from JetStream for them.',
      registers,
    }),
    replayWait: histogram(
      'sse_replay_wait_seconds',
      'From asking for a replay from the stream until its first page.',
      coarseSeconds,
    ),
    replayDuration: histogram(
      'sse_replay_seconds',
      'From being behind the recent log until back in it, by replay from the stream.',
      coarseSeconds,
    ),
    flushDuration: histogram(
      'sse_flush_seconds',
      'From the begin to the end of a flush, with what the event loop did between its slices.',
      fineSeconds,
    ),
    flushEvents: histogram('sse_flush_events', 'Events of the log that a flush carried.', eventCounts),
    deliveryLatency: histogram(
      'sse_delivery_latency_seconds',
      'From the log’s time of an event until it was written to all its live streams.',
      deliverySeconds,
    ),
  }
}
