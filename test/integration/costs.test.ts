import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { Service } from '../support/service.ts'
import { Swarm } from '../support/swarm.ts'
import { secret, signToken } from '../support/tokens.ts'
import { waitUntil } from '../support/wait.ts'

/** What the gateway's speed and size rest on, held by counts: these do not depend on the machine. */

const never = { HEARTBEAT_INTERVAL_MS: 600_000, MAX_AGE_MS: 3_600_000 }
let lab: Lab
let folder: string

beforeAll(async () => {
  lab = await Lab.start()
  folder = mkdtempSync(join(tmpdir(), 'sse-costs-'))
})
afterAll(async () => {
  await lab?.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('an event is encoded once, joined once a group and flush, and written once a stream and flush', async () => {
  const shared = 40
  const own = 10
  const gateway = await lab.gateway({ ...never, NODE_V8_COVERAGE: folder })
  const crowd = new Swarm(gateway.port, 'one.>', shared)
  await crowd.open()
  const others = Array.from({ length: own }, (_, i) => new Swarm(gateway.port, `one.${i}`, 1))
  for (const swarm of others) await swarm.open()
  const writer = await lab.writer()
  const alone = 20
  const events = 500
  // Some that are flushed before the next is sent, then many at a time, which share flushes.
  for (let n = 1; n <= alone; n++) {
    await writer.numbered(1, 'one.x')
    await crowd.untilAll(n)
  }
  await writer.numbered(events - alone, 'one.x')
  await crowd.untilAll(events)
  crowd.close()
  for (const swarm of others) swarm.close()
  const [flushes, joins, writes, delivered] = await Promise.all(
    [
      'sse_flushes_total',
      'sse_flush_joins_total',
      'sse_flush_writes_total',
      'sse_events_delivered_total',
    ].map((name) => gateway.metric(name)),
  )
  expect(delivered).toBe(events * shared)
  expect(flushes).toBeGreaterThan(alone)
  expect(flushes).toBeLessThan(events)
  expect(writes).toBe((flushes as number) * shared)
  expect(joins).toBeLessThanOrEqual((flushes as number) - alone)
  await gateway.term()
  const calls = functionCalls(folder)
  expect(calls('sse-frame.ts', 'encodeEvent')).toBe(events)
  expect(calls('recent-log.ts', 'append')).toBe(events)
  expect(calls('flush.ts', 'join')).toBe(flushes)
  // One write a flush, and the first block of each stream.
  expect(calls('connection.ts', 'write')).toBe((writes as number) + shared + own)
})

test('however many streams there are, the log has one consumer for each gateway', async () => {
  const before = await lab.consumers()
  const gateways = [await lab.gateway(never), await lab.gateway(never)]
  const swarms = gateways.map((gateway) => new Swarm(gateway.port, 'one.>', 100))
  for (const swarm of swarms) await swarm.open()
  expect((await lab.consumers()).length - before.length).toBe(gateways.length)
  for (const swarm of swarms) swarm.close()
})

test('an idle stream with a token and a topic of its own keeps at most 2,400 bytes of heap', async () => {
  const gateway = await lab.gateway({
    ...never,
    AUTH_MODE: 'jwt',
    JWT_SECRET: secret,
    NODE_OPTIONS: `--max-semi-space-size=2 --import=${join(import.meta.dirname, '../support/report-heap.ts')}`,
  })
  // The first ones have the code compiled, and lists grown, that all others share.
  const warm = await openStreams(gateway, 300, 'warm')
  for (const socket of warm) socket.destroy()
  await waitUntil(async () => (await openCount(gateway)) === 0, { what: 'the first streams to be gone' })
  const before = await heapUsedBytes(gateway)
  const streams = await openStreams(gateway, 2_000, 'idle')
  const each = ((await heapUsedBytes(gateway)) - before) / streams.length
  for (const socket of streams) socket.destroy()
  console.log(`an idle stream keeps ${Math.round(each)} bytes of heap`)
  expect(each).toBeLessThanOrEqual(2_400)
})

/** Reads how often each function was called, from what V8 writes at the end of a process (NODE_V8_COVERAGE). */
function functionCalls(from: string): (file: string, name: string) => number {
  type Coverage = {
    result: { url: string; functions: { functionName: string; ranges: { count: number }[] }[] }[]
  }
  const scripts = readdirSync(from).flatMap(
    (name) => (JSON.parse(readFileSync(join(from, name), 'utf8')) as Coverage).result,
  )
  return (file, name) => {
    const found = scripts
      .filter(({ url }) => url.endsWith(`/services/gateway/${file}`))
      .flatMap(({ functions }) => functions.filter(({ functionName }) => functionName === name))
    if (found.length === 0)
      throw new Error(`${file} has no function ${name} any more: this test must follow.`)
    return found.reduce((sum, { ranges }) => sum + (ranges[0]?.count ?? 0), 0)
  }
}

async function openStreams(gateway: Service, count: number, name: string): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let i = 0; i < count; i += 100) {
    const batch = Array.from({ length: 100 }, async (_, k) => {
      const token = await signToken(secret, { subject: `${name}-${i + k}`, subscribe: ['>'] })
      const socket = connect(gateway.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(
        `GET /v1/events?topic=${name}.${i + k} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`,
      )
      await once(socket, 'data')
      return socket
    })
    sockets.push(...(await Promise.all(batch)))
  }
  return sockets
}

async function openCount(gateway: Service): Promise<number> {
  return await gateway.metric('sse_connections{state="live"}')
}

async function heapUsedBytes(gateway: Service): Promise<number> {
  const reports = () =>
    gateway.logLines().flatMap((line) => ('heapUsedBytes' in line ? [Number(line.heapUsedBytes)] : []))
  const seen = reports().length
  process.kill(gateway.pid, 'SIGUSR2')
  await waitUntil(() => reports().length > seen, { what: 'the gateway to report its heap' })
  return reports().at(-1) as number
}
