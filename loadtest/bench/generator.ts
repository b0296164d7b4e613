import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'

/** Percentiles in milliseconds. */
export interface Percentiles {
  p50: number
  p90: number
  p99: number
  p999: number
  max: number
}

/** What `generator subscribe` prints; see loadtest/generator/subscribe.go. */
export interface SubscribeReport {
  connections: number
  open: number
  failed: number
  refused: number
  closed: number
  reconnects: number
  openSeconds: number
  connectMs: Percentiles | null
  firstBlockMs: Percentiles | null
  events: number
  measuredEvents: number
  measuredSeconds: number
  eventsPerSecond: number
  megabytesPerSecond: number
  latencyMs: Percentiles | null
  completeSeconds: number
  lost: number
  duplicated: number
  outOfOrder: number
  idsOutOfOrder: number
  controls: Record<string, number>
  reached: number
  ledgers: number
  fewestEvents: number
  mostEvents: number
  lowestLast: number
  highestLast: number
  cpuSeconds: number
  measuredCpuSeconds: number
}

/** What `generator publish` prints. */
export interface PublishReport {
  sent: number
  stored: number
  errors: number
  lastError?: string
  seconds: number
  perSecond: number
  acknowledgedMs?: Percentiles
  cpuSeconds: number
}

const root = join(import.meta.dirname, '../..')
const binary = join(root, '.tools/bin/generator')

/** Builds the load generator into `.tools/bin`; Go rebuilds only what has changed. @throws without Go. */
export async function buildGenerator(): Promise<string> {
  const result = await execa(findGo(), ['build', '-o', binary, '.'], {
    cwd: join(root, 'loadtest/generator'),
    reject: false,
    all: true,
  })
  if (result.failed) throw new Error(`The load generator could not be built:\n${result.all}`)
  return binary
}

function findGo(): string {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/go/bin']
  const path = folders.map((folder) => join(folder, 'go')).find((file) => existsSync(file))
  if (!path) throw new Error('Go is missing: the load generator is built with it. Install Go 1.26 or newer.')
  return path
}

/** `{ lastEventId: 'e-1' }` to `-last-event-id=e-1`; what is undefined is left out. */
export function options(values: Record<string, string | number | boolean | undefined>): string[] {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}=${value}`)
}
