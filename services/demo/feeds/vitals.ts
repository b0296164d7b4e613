import { percentileMs, ratePerSecond, readingOf, type Scrape } from './scrape.ts'

/** Readings of one process, oldest first, of the last minute. */
export type History = readonly Scrape[]

/** What the cluster feed tells of a gateway. */
export interface GatewayVitals {
  connections: number
  deliveredPerSecond: number
  tailLagEvents: number
  gaps: number
  /** 99th percentile since the last reading; null when nothing was delivered. */
  latencyP99Ms: number | null
  /** It is greater than `latencyP99Ms`, the greatest that can be told. */
  latencyP99Beyond?: true
}

/** Of a publisher: what is published, and the log, which it knows. */
export interface PublisherVitals {
  storedPerSecond: number
  ackP99Ms: number | null
  logEvents: number
  logBytes: number
  replicas: number
  replicasCurrent: number
}

/** Of a prober: what a user feels. */
export interface ProberVitals {
  connected: boolean
  /** 99th percentile over the last minute, from the publish request until the event came. */
  roundTripP99Ms: number | null
  /** As with `latencyP99Beyond`. */
  roundTripP99Beyond?: true
  lost: number
  duplicated: number
  resumes: number
}

export function gatewayVitals(history: History): GatewayVitals {
  const { before, now } = lastTwo(history)
  const latency = percentileMs(before, now, 'sse_delivery_latency_seconds', 0.99)
  return {
    connections: readingOf(now, 'sse_connections'),
    deliveredPerSecond: ratePerSecond(before, now, 'sse_events_delivered_total'),
    tailLagEvents: readingOf(now, 'sse_tail_lag_events'),
    gaps: readingOf(now, 'sse_gaps_total'),
    latencyP99Ms: latency?.ms ?? null,
    ...(latency?.beyond ? { latencyP99Beyond: true } : {}),
  }
}

export function publisherVitals(history: History): PublisherVitals {
  const { before, now } = lastTwo(history)
  return {
    storedPerSecond: ratePerSecond(before, now, 'sse_publishes_total{outcome="stored"}'),
    ackP99Ms: percentileMs(before, now, 'sse_publish_ack_seconds', 0.99)?.ms ?? null,
    logEvents: readingOf(now, 'sse_log_messages'),
    logBytes: readingOf(now, 'sse_log_bytes'),
    replicas: readingOf(now, 'sse_log_replicas'),
    replicasCurrent: readingOf(now, 'sse_log_replicas_current'),
  }
}

export function proberVitals(history: History): ProberVitals {
  const { now } = lastTwo(history)
  // A canary a second: two readings would hold one or two of them.
  const roundTrip = percentileMs(history[0], now, 'sse_probe_latency_seconds', 0.99)
  return {
    connected: readingOf(now, 'sse_probe_connected') === 1,
    roundTripP99Ms: roundTrip?.ms ?? null,
    ...(roundTrip?.beyond ? { roundTripP99Beyond: true } : {}),
    lost: readingOf(now, 'sse_probe_lost_total'),
    duplicated: readingOf(now, 'sse_probe_duplicated_total'),
    resumes: readingOf(now, 'sse_probe_resumes_total{outcome="ok"}'),
  }
}

function lastTwo(history: History): { before: Scrape | undefined; now: Scrape } {
  return { before: history.at(-2), now: history.at(-1) as Scrape }
}
