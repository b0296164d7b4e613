/** Prometheus text as the services serve it, and what can be told from two readings of it. */

export interface Scrape {
  atMs: number
  /** Values by series, as `name{labels}`; and by name, summed over the labels. */
  values: ReadonlyMap<string, number>
  /** Per histogram: how many took at most so long, in its unit, cumulative and summed over the labels. */
  buckets: ReadonlyMap<string, ReadonlyMap<number, number>>
}

const line = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/

/** Reads metrics in the Prometheus text format; lines that are none are passed over. */
export function parseMetrics(text: string, atMs: number): Scrape {
  const values = new Map<string, number>()
  const buckets = new Map<string, Map<number, number>>()
  for (const row of text.split('\n')) {
    const [, name, labels = '', shown] = line.exec(row) ?? []
    const value = Number(shown)
    if (name === undefined || Number.isNaN(value)) continue
    const le = name.endsWith('_bucket') ? /le="([^"]+)"/.exec(labels)?.[1] : undefined
    if (le === undefined) {
      values.set(name, (values.get(name) ?? 0) + value)
      if (labels) values.set(name + labels, value)
      continue
    }
    const histogram = name.slice(0, -'_bucket'.length)
    const bounds = buckets.get(histogram) ?? new Map<number, number>()
    const bound = Number(le.replace('+Inf', 'Infinity'))
    bounds.set(bound, (bounds.get(bound) ?? 0) + value)
    buckets.set(histogram, bounds)
  }
  return { atMs, values, buckets }
}

/** A metric's value; 0 where there is none. */
export function readingOf(scrape: Scrape, series: string): number {
  return scrape.values.get(series) ?? 0
}

/** By how much a counter grew, a second. 0 without an earlier reading. */
export function ratePerSecond(before: Scrape | undefined, now: Scrape, series: string): number {
  if (!before || now.atMs <= before.atMs) return 0
  const value = readingOf(now, series)
  const grown = value - readingOf(before, series)
  // A counter that fell belongs to a process that was started again: it counts from 0.
  return Math.round(((grown >= 0 ? grown : value) / (now.atMs - before.atMs)) * 1000)
}

/** A percentile, or, when `beyond`, what it is greater than. */
export interface Percentile {
  ms: number
  beyond: boolean
}

/**
 * The upper bound, in ms, of the bucket of `histogram` (in seconds) that holds the percentile of what came between
 * two readings: coarse, but never better than the truth. Beyond the last bound it is only known to be greater. Null
 * when nothing came.
 */
export function percentileMs(
  before: Scrape | undefined,
  now: Scrape,
  histogram: string,
  percentile: number,
): Percentile | null {
  const bounds = now.buckets.get(histogram)
  if (!before || !bounds) return null
  const earlier = before.buckets.get(histogram)
  const grown = [...bounds]
    .map(([bound, count]) => ({ bound, count: count - (earlier?.get(bound) ?? 0) }))
    .sort((a, b) => a.bound - b.bound)
  const total = grown.at(-1)?.count ?? 0
  if (total <= 0) return null
  const finite = grown.filter(({ bound }) => Number.isFinite(bound))
  const within = finite.find(({ count }) => count >= total * percentile)
  const bound = within ?? finite.at(-1)
  return bound ? { ms: Math.round(bound.bound * 1_000_000) / 1000, beyond: !within } : null
}
