import { describe, expect, it } from 'vitest'
import { addSwarms, judge, percentile, type Summary, summaryInLog } from '../../loadtest/summaries.ts'

const durations = (buckets: Record<string, number>) => ({
  count: Object.values(buckets).reduce((sum, count) => sum + count, 0),
  max: Math.max(...Object.keys(buckets).map(Number)),
  buckets,
})

/** A runner's summary: its own bounds hold unless told. */
function runner(latency: Record<string, number>, more: Partial<Record<string, number>> = {}): Summary {
  const count = (name: string) => ({ count: more[name] ?? 0 })
  const swarm = {
    name: 'fast',
    connections: 10,
    open: 10,
    events: 100,
    bytes: 1,
    outOfOrder: 0,
    reconnects: 0,
  }
  return {
    scenario: 'fanout',
    passed: true,
    seconds: 1,
    runners: more.runners ?? 1,
    ran: more.ran ?? 1,
    verdicts: [
      ...['sse_lost count==0', 'sse_connect_errors count<=3', 'sse_events count>0', 'sse_latency p(99)<50'],
      ...['sse_latency{pattern:fast} p(99)<50', 'checks rate==1', 'breakpoint_rate value>0'],
    ].map((text) => {
      const [metric, bound] = text.split(' ') as [string, string]
      return { metric, bound, ok: more[`${metric} fails`] === undefined, value: '' }
    }),
    swarms: [
      {
        ...swarm,
        lost: more.sse_lost ?? 0,
        duplicated: 0,
        latencyMs: durations(latency),
        connectMs: durations({ 1: 10 }),
        firstBlockMs: durations({ 1: 10 }),
      },
    ],
    metrics: {
      sse_lost: count('sse_lost'),
      sse_connect_errors: count('sse_connect_errors'),
      sse_events: { count: 100 },
      checks: { rate: 1, passes: 3, fails: more.failedChecks ?? 0 },
      breakpoint_rate: { value: 10 },
    },
  }
}

const failed = (summaries: Summary[]) =>
  judge(summaries)
    .filter(({ ok }) => !ok)
    .map(({ metric, bound, value }) => `${metric} ${bound} ${value}`)

describe('the verdict over several k6 processes', () => {
  it('holds when every bound holds for all of them together', () => {
    expect(failed([runner({ 10: 100 }), runner({ 20: 100 })])).toEqual([])
  })

  it('adds up what each of them counted', () => {
    const one = runner({ 10: 100 }, { sse_connect_errors: 2 })
    expect(failed([one])).toEqual([])
    expect(failed([one, one])).toEqual(['sse_connect_errors count<=3 4'])
    expect(failed([runner({ 10: 100 }), runner({ 10: 100 }, { sse_lost: 1 })])).toEqual([
      'sse_lost count==0 1',
    ])
  })

  it('takes the percentiles of all events, not of the runners’ percentiles', () => {
    const few = runner({ 10: 5, 90: 5 })
    expect(failed([few])).toEqual(['sse_latency p(99)<50 90', 'sse_latency{pattern:fast} p(99)<50 90'])
    expect(failed([few, runner({ 10: 1000 })])).toEqual([])
    expect(percentile([durations({ 1: 98, 7: 1, 9: 1 })], 0.99)).toBe(7)
    expect(percentile([], 0.5)).toBeUndefined()
  })

  it('has a rate of all tries', () => {
    expect(failed([runner({ 1: 1 }), runner({ 1: 1 }, { failedChecks: 2 })])).toEqual(['checks rate==1 0.75'])
  })

  it('wants every runner to hold a bound that can’t be added up', () => {
    const broken = runner({ 1: 1 }, { 'breakpoint_rate fails': 1 })
    expect(failed([runner({ 1: 1 }), broken])).toEqual(['breakpoint_rate value>0 held by 1 of 2 runners'])
  })

  it('wants all runners of the test, whatever those that are there say', () => {
    const one = runner({ 1: 1 }, { runners: 3 })
    expect(failed([one, one, one])).toEqual([])
    expect(failed([one, one])).toEqual(['runners count==3 2'])
    expect(failed([runner({ 1: 1 }, { runners: 3, ran: 3 })])).toEqual([])
    expect(failed([runner({ 1: 1 }, { ran: 0 })])).toEqual(['runners count==1 0'])
  })

  it('adds up the swarms by name', () => {
    const [swarm, ...others] = addSwarms([runner({ 10: 100 }), runner({ 20: 100 }, { sse_lost: 2 })])
    expect(others).toEqual([])
    expect(swarm).toMatchObject({ name: 'fast', connections: 20, events: 200, lost: 2 })
    expect(swarm?.latencyMs).toMatchObject({ p50: 10, p99: 20, max: 20 })
  })

  it('finds a runner’s summary in its log, and misses that of one that did not end', () => {
    const json = JSON.stringify(runner({ 1: 1 }))
    const lines = [`k6-summary 1/2 ${json.slice(0, 100)}`, 'time="…"', `k6-summary 2/2 ${json.slice(100)}`]
    expect(summaryInLog(`${lines.join('\n')}\n`)?.scenario).toBe('fanout')
    expect(summaryInLog(lines.slice(0, 2).join('\n'))).toBeUndefined()
    expect(summaryInLog('time="…"\n')).toBeUndefined()
  })
})
