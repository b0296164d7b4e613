import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSeconds, residentBytes } from '../bench/usage.ts'
import { addSwarms, judge, readSummary, type Verdict } from '../summaries.ts'
import type { Rig } from './rig.ts'

/** One crowd to be held: what is started for it, and how it connects. */
export interface Part {
  name: string
  what: string
  gateways: number
  /** Nginx workers; 0: straight to the gateways. */
  nginxWorkers: number
  /** k6 processes, and clients of each. */
  runners: number
  connectionsEach: number
  http2: boolean
  /** Clients opened per second, over all. */
  ramp: number
  /** Events per second; each reaches a runner's clients. */
  ratePerRunner: number
}

export interface Usage {
  processes: number
  /** CPU while the crowd was opened, in seconds of a core; and cores while it was held. */
  openingSeconds: number
  cores: number
  residentBytes: number
  /** The same before any stream was open; for k6 nothing. */
  emptyBytes: number
}

export interface PartResult extends Part {
  date: string
  commit: string
  connections: number
  /** Least and greatest number of streams that the gateways counted while they were held. */
  held: { least: number; most: number; seconds: number }
  openingSeconds: number
  usage: Record<string, Usage>
  /** What the kernel holds beside the processes: for sockets and their files, and in their buffers. */
  kernelBytes: number
  bufferBytes: number
  passed: boolean
  verdicts: Verdict[]
  crowd: ReturnType<typeof addSwarms>
}

const root = join(import.meta.dirname, '../..')
const kinds = ['gateway', 'nginx', 'k6', 'nats-server', 'publisher']

/** Opens the crowd, holds it for `seconds` of published events, and judges all runners together. */
export async function hold(
  rig: Rig,
  part: Part,
  seconds: number,
  k6: string,
): Promise<Omit<PartResult, 'date' | 'commit'>> {
  const connections = part.runners * part.connectionsEach
  const before = kernelObjects()
  await rig.start(part.gateways, Math.ceil((connections / part.gateways) * 1.2))
  const door = part.nginxWorkers > 0 ? await rig.nginx(part.nginxWorkers) : undefined
  const empty = await residentByKind(rig)
  const start = await cpuByKind(rig)
  const began = Date.now()
  const runners = Array.from({ length: part.runners }, (_, i) => {
    const first = 10 + i * 4
    return rig.run('k6', 1, k6, ['run', '--quiet', '--address=127.0.0.1:0', script], {
      K6_AUTO_EXTENSION_RESOLUTION: 'false',
      K6_NO_USAGE_REPORT: 'true',
      STREAM_URL: door ?? rig.gateways.map(({ url }) => url).join(','),
      PUBLISH_URL: door ?? rig.publishUrl,
      INSECURE: door ? 1 : 0,
      HTTP2: part.http2 ? 1 : 0,
      TOKENS_FILE: rig.tokens(`runner-${i}`, part.connectionsEach),
      CONNECTIONS: part.connectionsEach,
      RAMP: part.ramp / part.runners,
      RATE: part.ratePerRunner,
      DURATION: `${seconds}s`,
      P99_MS: 2000,
      SOURCE_ADDRESSES: `127.0.0.${first}-127.0.0.${first + 3}`,
      REPORT_DIR: rig.folder,
      REPORT_NAME: `${part.name}-${i}`,
    })
  })
  const over = () => runners.some(({ alive }) => !alive)
  const fail = () => new Error(`k6 ended early: ${runners.find(({ alive }) => !alive)?.said()}`)
  const endsAt = began + (connections / part.ramp) * 3000 + 120_000
  while ((await rig.streams()) < connections) {
    if (over()) throw fail()
    if (Date.now() > endsAt) throw new Error(`Only ${await rig.streams()} of ${connections} streams are open`)
    await sleep(500)
  }
  const openingSeconds = (Date.now() - began) / 1000
  const opened = await cpuByKind(rig)
  // Publishing has begun in every runner by then.
  await sleep(5_000)
  if (over()) throw fail()
  const watched = await watch(rig, (seconds - 15) * 1000)
  if (over()) throw fail()
  const [kernelBytes, bufferBytes] = [kernelObjects() - before, kernelBuffers()]
  for (const runner of runners) await runner.ended
  const summaries = await Promise.all(
    runners.map((_, i) => readSummary(join(rig.folder, `${part.name}-${i}.json`))),
  )
  const verdicts = judge(summaries)
  return {
    ...part,
    ...{ connections, openingSeconds, kernelBytes, bufferBytes, held: watched.held },
    usage: Object.fromEntries(
      Object.entries(watched.usage).map(([kind, usage]) => [
        kind,
        {
          ...usage,
          openingSeconds: (opened[kind] ?? 0) - (start[kind] ?? 0),
          emptyBytes: empty[kind] ?? 0,
        },
      ]),
    ),
    passed: verdicts.every(({ ok }) => ok),
    verdicts,
    crowd: addSwarms(summaries),
  }
}

const script = join(root, 'loadtest/scenarios/fanout.ts')

type Watched = Record<string, { processes: number; cores: number; residentBytes: number }>

/** Counts streams, CPU and memory for so long. */
async function watch(rig: Rig, ms: number): Promise<{ held: PartResult['held']; usage: Watched }> {
  const before = await cpuByKind(rig)
  const began = Date.now()
  const counts: number[] = []
  while (Date.now() - began < ms) {
    counts.push(await rig.streams())
    await sleep(1_000)
  }
  const seconds = (Date.now() - began) / 1000
  const [after, resident] = [await cpuByKind(rig), await residentByKind(rig)]
  const usage: Watched = {}
  for (const kind of kinds) {
    const processes = (await rig.pids(kind)).length
    if (processes === 0) continue
    const cores = ((after[kind] ?? 0) - (before[kind] ?? 0)) / seconds
    usage[kind] = { processes, cores, residentBytes: resident[kind] ?? 0 }
  }
  return { held: { least: Math.min(...counts), most: Math.max(...counts), seconds }, usage }
}

const cpuByKind = (rig: Rig) => sumByKind(rig, cpuSeconds)

const residentByKind = (rig: Rig) => sumByKind(rig, residentBytes)

async function sumByKind(rig: Rig, figure: (pid: number) => number): Promise<Record<string, number>> {
  const sums = kinds.map(
    async (kind) => [kind, (await rig.pids(kind)).reduce((sum, pid) => sum + figure(pid), 0)] as const,
  )
  return Object.fromEntries(await Promise.all(sums))
}

/** Objects of the kernel that can't be dropped, sockets among them. */
function kernelObjects(): number {
  const text = readFileSync('/proc/meminfo', 'utf8')
  return Number(/^SUnreclaim:\s+(\d+) kB/m.exec(text)?.[1]) * 1024
}

/** Buffers of TCP, which the kernel counts in pages. */
function kernelBuffers(): number {
  const text = readFileSync('/proc/net/sockstat', 'utf8')
  return Number(/^TCP:.* mem (\d+)/m.exec(text)?.[1]) * 4096
}
