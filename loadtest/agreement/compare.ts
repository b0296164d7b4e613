import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Rig } from '../at-scale/rig.ts'
import type { Child } from '../bench/child.ts'
import { makeToken } from '../bench/tokens.ts'
import { cpuSeconds, residentBytes } from '../bench/usage.ts'
import { percentile, readSummary } from '../summaries.ts'
import type { Comparison, Seen } from './report.ts'

const root = join(import.meta.dirname, '../..')
const seconds = 6
/** The gateway writes to its clients in the order in which they came, so the two open theirs in turns. */
const ramp = 222
/** The lab's swarm opens a ninth slower than it is told; and it has to be open a moment before k6 publishes. */
const swarmRamp = Math.ceil(ramp * 1.125 * 1.02)

interface SwarmReport {
  events: number
  lat_ms: { p50: number; p99: number }
}

/** Resident memory of k6 with one stream: what a process costs however many there are. */
export async function emptyBytes(rig: Rig, k6: string): Promise<number> {
  const child = startK6(rig, k6, { name: 'alone', connections: 1, rate: 10 })
  await untilOpen(rig, child, 1)
  await sleep(2_000)
  const bytes = residentBytes(child.pid)
  await child.ended
  return bytes
}

/** Both programs on the gateway of the rig, at so many events a second. @throws when one of them gives no result. */
export async function compare(
  rig: Rig,
  options: { k6: string; swarm: string; rate: number; connections: number; emptyBytes: number },
): Promise<Comparison> {
  const { rate, connections } = options
  await untilOpen(rig, undefined, 0)
  const name = `rate-${rate}`
  const child = startK6(rig, options.k6, { name, connections, rate })
  await untilOpen(rig, child, 1)
  const port = new URL(rig.gateways[0]?.url as string).port
  const other = rig.run(
    'swarm',
    1,
    options.swarm,
    [
      ...['--port', port, '--conns', `${connections}`, '--ramp', `${swarmRamp}`],
      ...['--warm', '0', '--duration', `${seconds + 4}`, '--path', `/v1/events?topic=load.${name}.0`],
      ...['--headers', `Authorization: Bearer ${makeToken('swarm')}\\n`],
    ],
    {},
  )
  await untilOpen(rig, child, connections * 2)
  const [cpuBefore, resident] = [cpuSeconds(child.pid), residentBytes(child.pid)]
  const cpu = (await lastCpuSeconds(child)) - cpuBefore
  const theirs = await other.result<SwarmReport>()
  const summary = await readSummary(join(rig.folder, `${name}.json`))
  const latency = summary.swarms.map((swarm) => swarm.latencyMs)
  const events = summary.swarms.reduce((sum, swarm) => sum + swarm.events, 0)
  const ours: Seen = {
    events,
    p50: percentile(latency, 0.5) ?? Number.NaN,
    p99: percentile(latency, 0.99) ?? Number.NaN,
  }
  return {
    rate,
    connections,
    passed: summary.passed,
    k6: ours,
    other: { events: theirs.events, p50: theirs.lat_ms.p50, p99: theirs.lat_ms.p99 },
    eventsPerCoreSecond: events / cpu,
    bytesPerConnection: (resident - options.emptyBytes) / connections,
  }
}

/** What a process has used when it ends, to a twentieth of a second. */
async function lastCpuSeconds(child: Child): Promise<number> {
  let last = cpuSeconds(child.pid)
  for (; child.alive; await sleep(50)) {
    try {
      last = cpuSeconds(child.pid)
    } catch {
      // It has ended just now.
    }
  }
  return last
}

function startK6(rig: Rig, k6: string, part: { name: string; connections: number; rate: number }): Child {
  const script = join(root, 'loadtest/scenarios/fanout.ts')
  return rig.run('k6', 1, k6, ['run', '--quiet', '--address=127.0.0.1:0', script], {
    K6_AUTO_EXTENSION_RESOLUTION: 'false',
    K6_NO_USAGE_REPORT: 'true',
    STREAM_URL: rig.gateways[0]?.url as string,
    PUBLISH_URL: rig.publishUrl,
    TOKENS_FILE: rig.tokens(part.name, part.connections),
    RUN_NAME: part.name,
    CONNECTIONS: part.connections,
    RAMP: ramp,
    RATE: part.rate,
    DURATION: `${seconds}s`,
    P99_MS: 60_000,
    REPORT_DIR: rig.folder,
    REPORT_NAME: part.name,
  })
}

async function untilOpen(rig: Rig, child: Child | undefined, count: number): Promise<void> {
  const endsAt = Date.now() + 60_000
  for (let open = -1; count === 0 ? open !== 0 : open < count; open = await rig.streams()) {
    if (child && !child.alive) throw new Error(`k6 ended early: ${child.said()}`)
    if (Date.now() > endsAt) throw new Error(`${open} streams are open, not ${count}`)
    await sleep(50)
  }
}
