import { readFile } from 'node:fs/promises'

/** What several processes of one load test have seen together. k6 judges in each of them alone. */

export interface Durations {
  count: number
  max: number
  /** How many there were of each duration, in milliseconds to 1 %. */
  buckets: Record<string, number>
}

export interface SwarmSummary {
  name: string
  connections: number
  open: number
  events: number
  bytes: number
  lost: number
  duplicated: number
  outOfOrder: number
  reconnects: number
  latencyMs: Durations
  connectMs: Durations
  firstBlockMs: Durations
}

export interface Verdict {
  metric: string
  bound: string
  ok: boolean
  value: string
}

/** As `scenarios/lib/report.ts` writes it. */
export interface Summary {
  scenario: string
  passed: boolean
  seconds: number
  /** k6 processes that share the test, and how many of these parts this process ran to the end. */
  runners: number
  ran: number
  verdicts: Verdict[]
  swarms: SwarmSummary[]
  metrics: Record<string, Record<string, number>>
}

/** @throws when the file is no summary of this project's scenarios. */
export async function readSummary(file: string): Promise<Summary> {
  const summary = JSON.parse(await readFile(file, 'utf8')) as Partial<Summary>
  if (!summary.scenario || !summary.verdicts || !summary.swarms)
    throw new Error(`${file} is not the summary of a scenario`)
  return summary as Summary
}

/** The summary in a runner's log (REPORT=log); undefined when the runner did not come to its end. */
export function summaryInLog(log: string): Summary | undefined {
  const pieces = [...log.matchAll(/^k6-summary (\d+)\/(\d+) (.*)$/gm)]
  const whole = pieces.length > 0 && pieces.length === Number(pieces[0]?.[2])
  return whole ? (JSON.parse(pieces.map(([, , , piece]) => piece).join('')) as Summary) : undefined
}

/** Milliseconds within which that share of all durations is, to 1 %; undefined when there are none. */
export function percentile(parts: Durations[], share: number): number | undefined {
  const merged = new Map<number, number>()
  for (const { buckets } of parts) {
    for (const [ms, count] of Object.entries(buckets))
      merged.set(Number(ms), (merged.get(Number(ms)) ?? 0) + count)
  }
  const total = [...merged.values()].reduce((sum, count) => sum + count, 0)
  let seen = 0
  for (const [ms, count] of [...merged].sort(([a], [b]) => a - b)) {
    seen += count
    if (seen >= share * total) return Math.min(ms, Math.max(...parts.map(({ max }) => max)))
  }
  return undefined
}

const durationsOf: Record<string, 'latencyMs' | 'connectMs' | 'firstBlockMs'> = {
  sse_latency: 'latencyMs',
  sse_connect_duration: 'connectMs',
  sse_first_block_duration: 'firstBlockMs',
}

const comparisons: Record<string, (value: number, bound: number) => boolean> = {
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
  '==': (value, bound) => value === bound,
}

/**
 * Each bound of the scenario, held against all runners together: counters are added up, rates are of all tries, and
 * percentiles are of all events, made from the runners' histograms. Where there is no such sum every runner must have
 * held the bound by itself. And all runners must be there: who ended early has left nothing that could fail.
 */
export function judge(summaries: Summary[]): Verdict[] {
  const bounds = new Map(
    summaries.flatMap(({ verdicts }) => verdicts.map((verdict) => [verdict.metric + verdict.bound, verdict])),
  )
  const verdicts = [...bounds.values()].map(({ metric, bound }) => {
    const value = together(metric, bound, summaries)
    const [, comparison, limit] = /(<=|>=|==|<|>)\s*([\d.]+)$/.exec(bound) ?? []
    const holds = comparisons[comparison ?? '']
    if (value !== undefined && holds)
      return { metric, bound, ok: holds(value, Number(limit)), value: shown(value) }
    const own = summaries.map((summary) =>
      summary.verdicts.find((verdict) => verdict.metric === metric && verdict.bound === bound),
    )
    const good = own.filter((verdict) => verdict?.ok).length
    return { metric, bound, ok: good === own.length, value: `held by ${good} of ${own.length} runners` }
  })
  return [allRan(summaries), ...verdicts]
}

/** Independent processes (RUNNERS=1 each) are as many as there are. */
function allRan(summaries: Summary[]): Verdict {
  const ran = summaries.reduce((sum, summary) => sum + summary.ran, 0)
  const wanted = Math.max(summaries.length, ...summaries.map(({ runners }) => runners))
  return { metric: 'runners', bound: `count==${wanted}`, ok: ran === wanted, value: String(ran) }
}

function together(metric: string, bound: string, summaries: Summary[]): number | undefined {
  const [, name, pattern] = /^([a-z0-9_]+)(?:\{pattern:(.*)\})?$/.exec(metric) ?? []
  const quantile = /^p\(([\d.]+)\)/.exec(bound)?.[1]
  const durations = durationsOf[name ?? '']
  if (quantile && durations) {
    const swarms = summaries.flatMap(({ swarms }) => swarms)
    const parts = swarms.filter((swarm) => pattern === undefined || swarm.name === pattern)
    return percentile(
      parts.map((swarm) => swarm[durations]),
      Number(quantile) / 100,
    )
  }
  const values = summaries.map(({ metrics }) => metrics[metric])
  const sum = (field: string) => values.reduce((total, value) => total + (value?.[field] ?? 0), 0)
  if (bound.startsWith('count')) return sum('count')
  if (bound.startsWith('rate') && values.some((value) => value?.passes !== undefined))
    return sum('passes') / (sum('passes') + sum('fails'))
  return undefined
}

/** The swarms of all runners, added up by name. */
export function addSwarms(summaries: Summary[]) {
  const byName = Map.groupBy(
    summaries.flatMap(({ swarms }) => swarms),
    (swarm) => swarm.name,
  )
  return [...byName].map(([name, swarms]) => {
    const sum = (field: 'connections' | 'open' | 'events' | 'bytes' | 'lost' | 'duplicated') =>
      swarms.reduce((total, swarm) => total + swarm[field], 0)
    const latency = swarms.map((swarm) => swarm.latencyMs)
    return {
      name,
      connections: sum('connections'),
      open: sum('open'),
      events: sum('events'),
      bytes: sum('bytes'),
      lost: sum('lost'),
      duplicated: sum('duplicated'),
      outOfOrder: swarms.reduce((total, swarm) => total + swarm.outOfOrder, 0),
      reconnects: swarms.reduce((total, swarm) => total + swarm.reconnects, 0),
      latencyMs: {
        p50: percentile(latency, 0.5),
        p99: percentile(latency, 0.99),
        p999: percentile(latency, 0.999),
        max: Math.max(...latency.map(({ max }) => max)),
      },
    }
  })
}

const shown = (value: number) =>
  Number.isNaN(value) ? 'none' : Number(value.toPrecision(6)).toLocaleString('en-US')
