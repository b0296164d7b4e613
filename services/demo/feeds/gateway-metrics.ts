/** Prometheus text as the gateways serve it, and what the demo makes of it. */

/** Sums over labels by metric name, and the delivery-latency buckets. */
export interface Scrape {
  atMs: number
  sums: ReadonlyMap<string, number>
  /** Deliveries that took at most so many seconds, cumulative. */
  latencyBuckets: ReadonlyMap<number, number>
}

export interface GatewaySample {
  connections: number
  deliveredPerSecond: number
  tailLagEvents: number
  gaps: number
  /** 99th percentile since the last sample; null when nothing was delivered. */
  latencyP99Ms: number | null
}

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/
const latencyBucket = 'sse_delivery_latency_seconds_bucket'

/** Reads metrics in the Prometheus text format; lines that are none are passed over. */
export function parseMetrics(text: string, atMs: number): Scrape {
  const sums = new Map<string, number>()
  const latencyBuckets = new Map<number, number>()
  for (const row of text.split('\n')) {
    const [, name, labels, shown] = line.exec(row) ?? []
    const value = Number(shown)
    if (name === undefined || Number.isNaN(value)) continue
    if (name !== latencyBucket) sums.set(name, (sums.get(name) ?? 0) + value)
    else {
      const bound = Number(/le="([^"]+)"/.exec(labels ?? '')?.[1]?.replace('+Inf', 'Infinity'))
      latencyBuckets.set(bound, (latencyBuckets.get(bound) ?? 0) + value)
    }
  }
  return { atMs, sums, latencyBuckets }
}

/** What happened between two scrapes of one gateway. Without an earlier one the rates are 0. */
export function sampleOf(before: Scrape | undefined, now: Scrape): GatewaySample {
  const sum = (name: string) => now.sums.get(name) ?? 0
  const delivered = sum('sse_events_delivered_total')
  const deliveredBefore = before?.sums.get('sse_events_delivered_total') ?? delivered
  const elapsedSeconds = before ? (now.atMs - before.atMs) / 1000 : 0
  return {
    connections: sum('sse_connections'),
    // A counter that fell belongs to a restarted pod: it counts from 0 again.
    deliveredPerSecond:
      elapsedSeconds > 0
        ? Math.round(
            (delivered >= deliveredBefore ? delivered - deliveredBefore : delivered) / elapsedSeconds,
          )
        : 0,
    tailLagEvents: sum('sse_tail_lag_events'),
    gaps: sum('sse_gaps_total'),
    latencyP99Ms: before ? percentileMs(before.latencyBuckets, now.latencyBuckets, 0.99) : null,
  }
}

/** The upper bound of the bucket that holds the percentile: coarse, but never better than the truth. */
function percentileMs(
  before: ReadonlyMap<number, number>,
  now: ReadonlyMap<number, number>,
  percentile: number,
): number | null {
  const grown = [...now]
    .map(([bound, count]) => ({ bound, count: count - (before.get(bound) ?? 0) }))
    .sort((a, b) => a.bound - b.bound)
  const total = grown.at(-1)?.count ?? 0
  if (total <= 0) return null
  const bound = grown.find(({ count }) => count >= total * percentile)?.bound ?? Number.POSITIVE_INFINITY
  return Number.isFinite(bound) ? Math.round(bound * 1_000_000) / 1000 : null
}
