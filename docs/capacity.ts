import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Growth } from '../loadtest/bench/rows/growth.ts'

/**
 * The tables of docs/capacity.md, from the figures of one run of `make bench`. What a figure of the tables rests on is
 * named beside it there.
 */

/** The run on which the page rests; a newer one is taken by naming it here. */
const run = '2026-11-23-all'

interface Figures {
  growth: { sizes: Growth[] }
  tail: { cpu: number; publisher: { perSecond: number } }
  'fanout-200': { gateway: { cpu: number[]; subscribers: { eventsPerSecond: number } } }
  'reconnect-storm': { cpuSeconds: number; report: { connections: number; events: number } }
  nginx: { bytesEach: number; slow: { perMillion: { gateway: number; nginx: number } } }
  'publish-single': { single: { cpu: number; report: { perSecond: number } } }
}

const results = JSON.parse(
  readFileSync(join(import.meta.dirname, `../loadtest/results/${run}.json`), 'utf8'),
) as { rows: { name: string; figures: unknown }[] }

function figures<Name extends keyof Figures>(name: Name): Figures[Name] {
  const row = results.rows.find((candidate) => candidate.name === name)
  if (!row) throw new Error(`${run} has no row ${name}: run all of \`make bench\``)
  return row.figures as Figures[Name]
}

const { sizes } = figures('growth')
const largest = sizes.at(-1) as Growth
const tail = figures('tail')
const storm = figures('reconnect-storm')
const nginx = figures('nginx')
const single = figures('publish-single').single
const joined = figures('fanout-200').gateway

/** Core-seconds and bytes. */
const costs = {
  streamBytes: Math.max(...sizes.slice(2).map(({ residentBytesEach }) => residentBytesEach)),
  connectSeconds: largest.connectCpuSeconds,
  tailEventSeconds: tail.cpu / tail.publisher.perSecond,
  // Where flushes do not join yet: the dearest.
  deliverySeconds: Math.max(...sizes.map(({ deliveryCpuSeconds }) => deliveryCpuSeconds)),
  joinedDeliverySeconds: (joined.cpu[0] as number) / joined.subscribers.eventsPerSecond,
  reconnectSeconds: storm.cpuSeconds / storm.report.connections,
  nginxDeliverySeconds: nginx.slow.perMillion.nginx / 1e6,
  nginxStreamBytes: nginx.bytesEach,
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
      ['a stream, idle, with a JWT, in the gateway', kilobytes(c.streamBytes), 'growth, 5,000 to 15,000'],
      ['opening a stream with a JWT that is new to the pod', micros(c.connectSeconds), 'growth, 15,000'],
      ['an event in the tail, per gateway', micros(c.tailEventSeconds), 'tail'],
      ['a delivery that is a write of its own', micros(c.deliverySeconds), 'growth, the dearest'],
      ['a delivery when flushes join (200 events/s)', micros(c.joinedDeliverySeconds), 'fanout-200'],
      ['a reconnect 500 events behind, those included', micros(c.reconnectSeconds), 'reconnect-storm'],
      ['a delivery in Nginx that is a write of its own', micros(c.nginxDeliverySeconds), 'nginx, 10/s'],
      ['a stream in Nginx', kilobytes(c.nginxStreamBytes), 'nginx'],
      ['a single POST in the publisher', micros(c.publishSeconds), 'publish-single'],
    ],
  )
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
  podCores: 0.6,
  nginxCores: 0.6,
}

interface Plan {
  connections: number
  logs: number
  events: number
  pods: number
  podCores: number
  nginxCores: number
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
    nginxCores: deliveries * costs.nginxDeliverySeconds,
  }
}

function calculatorTable(): string {
  const rows = [10_000, 100_000, 1_000_000, 10_000_000].map((connections) => {
    const { logs, events, pods, podCores, nginxCores } = plan(connections)
    const deliveries = connections * (assumed.ownEventsPerSecond + assumed.broadcastsPerSecond)
    const memory = pods * 120 * 2 ** 20 + connections * costs.streamBytes
    return [
      connections.toLocaleString('en-US'),
      big(events),
      String(logs),
      `${big(pods)} (${(podCores * 100).toFixed(0)} % of a core each)`,
      `${big(memory / 2 ** 30)} GB`,
      `${big(Math.max(2, Math.ceil(nginxCores / assumed.nginxCores)))} cores, ${big((connections * costs.nginxStreamBytes) / 2 ** 30)} GB`,
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
      'Nginx',
      'NATS to gateways',
      'to clients',
      'reconnects/s by age',
    ],
    rows,
  )
}
