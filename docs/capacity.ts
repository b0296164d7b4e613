import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Growth } from '../loadtest/bench/rows/growth.ts'

/**
 * The tables of docs/capacity.md, from the figures of one run of `make bench`. What a figure of the tables rests on is
 * named beside it there.
 */

/** The runs on which the page rests, of `make bench` and of loadtest/at-scale; newer ones are taken by naming them here. */
const run = '2026-11-25-all'
const atScaleRun = '2026-11-25-at-scale'

interface Figures {
  growth: { sizes: Growth[] }
  tail: {
    cpu: number
    publisher: { perSecond: number }
    /** Core-seconds of nats-server for an event that is stored, and with one reader. */
    natsSeconds: { store: number; withReader: number }
  }
  'fanout-200': { gateway: { cpu: number[]; subscribers: { eventsPerSecond: number } } }
  'reconnect-storm': {
    cpuSeconds: number
    memoryBytes: number
    report: { connections: number; events: number }
  }
  nginx: { bytesEach: number; slow: { perMillion: { gateway: number; nginx: number } } }
  'publish-single': { single: { cpu: number; report: { perSecond: number } } }
}

/** A part of loadtest/at-scale through Nginx with TLS, at 0.5 events/s to each stream. */
interface AtScalePart {
  name: string
  connections: number
  usage: { nginx?: { cores: number; residentBytes: number; openingSeconds: number; emptyBytes: number } }
}

const read = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../loadtest/results/${name}.json`), 'utf8')) as unknown

const results = read(run) as { rows: { name: string; figures: unknown }[] }
const atScale = read(atScaleRun) as { parts: AtScalePart[] }

function figures<Name extends keyof Figures>(name: Name): Figures[Name] {
  const row = results.rows.find((candidate) => candidate.name === name)
  if (!row) throw new Error(`${run} has no row ${name}: run all of \`make bench\``)
  return row.figures as Figures[Name]
}

/** Events a second that each stream of the parts through Nginx gets, and heartbeats. */
const atScaleRate = 0.5 + 1 / 15

/** What a stream costs Nginx with TLS. @throws when the run has no such part. */
function throughTls(name: string): { bytes: number; openSeconds: number; deliverySeconds: number } {
  const part = atScale.parts.find((candidate) => candidate.name === name)
  if (!part?.usage.nginx) throw new Error(`${atScaleRun} has no part ${name}`)
  const { cores, residentBytes, openingSeconds, emptyBytes } = part.usage.nginx
  return {
    bytes: (residentBytes - emptyBytes) / part.connections,
    openSeconds: openingSeconds / part.connections,
    deliverySeconds: cores / (part.connections * atScaleRate),
  }
}

const { sizes } = figures('growth')
// The first 1,000 also pay for what is compiled and allocated once.
const settled = sizes.slice(1)
const tail = figures('tail')
const storm = figures('reconnect-storm')
const nginx = figures('nginx')
const single = figures('publish-single').single
const joined = figures('fanout-200').gateway

/** Core-seconds and bytes. */
const costs = {
  streamBytes: Math.max(...settled.map(({ residentBytesEach }) => residentBytesEach)),
  connectSeconds: Math.max(...settled.map(({ connectCpuSeconds }) => connectCpuSeconds)),
  tailEventSeconds: tail.cpu / tail.publisher.perSecond,
  // Where flushes do not join yet: the dearest.
  deliverySeconds: Math.max(...sizes.map(({ deliveryCpuSeconds }) => deliveryCpuSeconds)),
  joinedDeliverySeconds: (joined.cpu[0] as number) / joined.subscribers.eventsPerSecond,
  reconnectSeconds: storm.cpuSeconds / storm.report.connections,
  nginxDeliverySeconds: nginx.slow.perMillion.nginx / 1e6,
  nginxStreamBytes: nginx.bytesEach,
  http1: throughTls('nginx-tls'),
  http2: throughTls('nginx-http2'),
  storeSeconds: tail.natsSeconds.store,
  readSeconds: Math.max(0, tail.natsSeconds.withReader - tail.natsSeconds.store),
  publishSeconds: single.cpu / single.report.perSecond,
}

const micros = (seconds: number) => `${Number((seconds * 1e6).toPrecision(3))} µs`
const kilobytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`
const big = (value: number) => Number(value.toPrecision(3)).toLocaleString('en-US')

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** docs/capacity.md with its tables filled in. @throws when a place for a table is missing. */
export function capacityPage(page: string): string {
  const tables = { costs: costTable(), growth: growthTable(), calculator: calculatorTable() }
  return Object.entries(tables).reduce((text, [name, lines]) => {
    const place = new RegExp(`<!-- ${name} -->[^]*<!-- /${name} -->`)
    if (!place.test(text)) throw new Error(`docs/capacity.md has no place for the table "${name}"`)
    return text.replace(place, `<!-- ${name} -->\n${lines}\n<!-- /${name} -->`)
  }, page)
}

function costTable(): string {
  const c = costs
  return table(
    ['what', 'costs', 'measured by row'],
    [
      [
        'a stream, idle, with a JWT, in the gateway',
        kilobytes(c.streamBytes),
        'growth, the dearest from 2,000',
      ],
      [
        'opening a stream with a JWT that is new to the pod',
        micros(c.connectSeconds),
        'growth, the dearest from 2,000',
      ],
      [
        'an event in the tail, per gateway',
        `${micros(c.tailEventSeconds)}; its frame in the recent log`,
        'tail',
      ],
      ['a delivery that is a write of its own', micros(c.deliverySeconds), 'growth, the dearest'],
      [
        'a delivery when flushes join (200 events/s)',
        `${micros(c.joinedDeliverySeconds)}; no memory, frames are shared`,
        'fanout-200',
      ],
      [
        'a reconnect with a JWT, 500 events behind, those included',
        `${micros(c.reconnectSeconds)}; ${kilobytes(storm.memoryBytes / storm.report.connections)} at the peak`,
        'reconnect-storm',
      ],
      ['a delivery in Nginx that is a write of its own', micros(c.nginxDeliverySeconds), 'nginx, 10/s'],
      ['a stream in Nginx', kilobytes(c.nginxStreamBytes), 'nginx'],
      ['the same with TLS, HTTP/1.1', tlsCell(c.http1), 'at scale'],
      ['the same with TLS, HTTP/2 with 100 streams a connection', tlsCell(c.http2), 'at scale'],
      ['an event in NATS: stored in one copy', micros(c.storeSeconds), 'tail'],
      ['the same, read by one gateway', micros(c.readSeconds), 'tail'],
      ['a single POST in the publisher', micros(c.publishSeconds), 'publish-single'],
    ],
  )
}

function tlsCell({ bytes, openSeconds, deliverySeconds }: ReturnType<typeof throughTls>): string {
  return `${kilobytes(bytes)}; ${micros(openSeconds)} to open; ${micros(deliverySeconds)} a delivery that is alone`
}

function growthTable(): string {
  return table(
    ['connections', 'opening each', 'memory each', 'a delivery (20 events/s)', 'p99'],
    sizes.map((size) => [
      size.connections.toLocaleString('en-US'),
      micros(size.connectCpuSeconds),
      kilobytes(size.residentBytesEach),
      micros(size.deliveryCpuSeconds),
      `${Number(size.p99Ms.toPrecision(3))} ms`,
    ]),
  )
}

/** The work that the calculator assumes of each connection, and what a pod may be filled to. */
const assumed = {
  ownEventsPerSecond: 1 / 60,
  broadcastsPerSecond: 1,
  eventBytes: 400,
  frameBytes: 250,
  maxAgeSeconds: 540,
  podConnections: 15_000,
  /** An empty gateway, and its full recent log. */
  podBytes: (120 + 64) * 2 ** 20,
  replicas: 3,
  podCores: 0.6,
  nginxCores: 0.6,
  natsCores: 0.6,
}

interface Plan {
  connections: number
  logs: number
  events: number
  pods: number
  podCores: number
  nginxCores: number
  natsCores: number
}

/** Pods of one core for so many connections. Logs are split until a pod's tail takes at most half of what it may. */
function plan(connections: number): Plan {
  const events = connections * assumed.ownEventsPerSecond + assumed.broadcastsPerSecond
  const logs = Math.ceil((events * costs.tailEventSeconds) / (assumed.podCores / 2))
  const tailCores = (events / logs) * costs.tailEventSeconds
  const perConnection =
    (assumed.ownEventsPerSecond + assumed.broadcastsPerSecond) * costs.deliverySeconds +
    costs.connectSeconds / assumed.maxAgeSeconds
  const room = Math.min(assumed.podConnections, Math.floor((assumed.podCores - tailCores) / perConnection))
  // Two at least, so that one can go.
  const pods = Math.max(2, Math.ceil(connections / room))
  const deliveries = connections * (assumed.ownEventsPerSecond + assumed.broadcastsPerSecond)
  return {
    connections,
    logs,
    events,
    pods,
    podCores: tailCores + (connections / pods) * perConnection,
    // Browsers come with TLS: the dearer HTTP/1.1, and a handshake for each stream.
    nginxCores:
      deliveries * Math.max(costs.nginxDeliverySeconds, costs.http1.deliverySeconds) +
      (connections / assumed.maxAgeSeconds) * costs.http1.openSeconds,
    natsCores: events * (assumed.replicas * costs.storeSeconds + (pods / logs) * costs.readSeconds),
  }
}

function calculatorTable(): string {
  const rows = [10_000, 100_000, 1_000_000, 10_000_000].map((connections) => {
    const { logs, events, pods, podCores, nginxCores, natsCores } = plan(connections)
    const deliveries = connections * (assumed.ownEventsPerSecond + assumed.broadcastsPerSecond)
    const memory = pods * assumed.podBytes + connections * costs.streamBytes
    return [
      connections.toLocaleString('en-US'),
      big(events),
      String(logs),
      `${big(pods)} (${(podCores * 100).toFixed(0)} % of a core each)`,
      `${big(memory / 2 ** 30)} GB`,
      `${big(Math.max(2, Math.ceil(nginxCores / assumed.nginxCores)))} cores, ${big((connections * costs.http1.bytes) / 2 ** 30)} GB`,
      `${big(Math.max(assumed.replicas, Math.ceil(natsCores / assumed.natsCores)))} cores, ${big((events * assumed.eventBytes * assumed.replicas * 86_400) / 2 ** 30)} GB a day`,
      `${big(((pods / logs) * events * assumed.eventBytes * 8) / 1e9)} Gbit/s`,
      `${big((deliveries * assumed.frameBytes * 8) / 1e9)} Gbit/s`,
      big(connections / assumed.maxAgeSeconds),
    ]
  })
  return table(
    [
      'connections',
      'events/s in the log',
      'logs',
      'gateways',
      'their memory',
      'Nginx (TLS)',
      'NATS, three copies',
      'NATS to gateways',
      'to clients',
      'reconnects/s by age',
    ],
    rows,
  )
}
