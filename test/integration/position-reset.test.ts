import { cp, rm } from 'node:fs/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseEventId } from '../../services/contract/event-id.ts'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import { startNatsProxy } from '../support/nats-proxy.ts'
import type { Service } from '../support/service.ts'
import type { SseClient } from '../support/sse-client.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let gateway: Service
let writer: LogWriter

beforeEach(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway()
  writer = await lab.writer()
})
afterEach(async () => {
  expect(lab?.endClients()).toEqual([])
  await lab?.stop()
})

const epoch = async () => (await writer.manager.streams.info('EVENTS')).config.metadata?.['sse-epoch']
const recreate = async () => {
  await writer.manager.streams.delete('EVENTS')
  // By hand, as an operator might: nobody thinks of an epoch.
  await writer.manager.streams.add({ name: 'EVENTS', subjects: ['events.>'] })
}
/** Stops the log, for `awayMs` at least, and starts it as it was when `backup` was made. */
const restore = async (backup: string, awayMs = 0) => {
  await lab.nats.kill()
  const gone = performance.now()
  await rm(lab.nats.storeDir, { recursive: true })
  await cp(backup, lab.nats.storeDir, { recursive: true })
  await rm(backup, { recursive: true })
  await waitUntil(() => performance.now() - gone > awayMs, {
    what: 'time to pass',
    timeoutMs: awayMs + 5_000,
  })
  await lab.nats.restart()
  await writer.untilBack()
}
const makeBackup = async () => {
  await lab.nats.kill()
  const backup = `${lab.nats.storeDir}-backup`
  await cp(lab.nats.storeDir, backup, { recursive: true })
  await lab.nats.restart()
  await writer.untilBack()
  return backup
}
/** Checks that the gap came after `before` events and that everything after it is `numbers`, under one new epoch. */
async function toldOfReset(client: SseClient, before: number, numbers: number[]): Promise<void> {
  const gap = await client.untilControl('$gap')
  await client.untilCount(before + numbers.length)
  expect(gap.data.reason).toBe('reset')
  expect(gap.after).toBe(before)
  const current = await epoch()
  expect(parseEventId(gap.data.resumedAt as string)?.epoch).toBe(current)
  expect(client.numbers.slice(before)).toEqual(numbers)
  expect(new Set(client.events.slice(before).map((event) => event.epoch))).toEqual(new Set([current]))
  expect(client.events[0]?.epoch).not.toBe(current)
}

test('a stream that was deleted and recreated by hand is a reset for live and for returning clients, on all pods alike', async () => {
  const live = await lab.liveClient(gateway, ['a'])
  const returning = await lab.liveClient(gateway, ['a'])
  await writer.numbered(5, 'a')
  await Promise.all([live.untilCount(5), returning.untilCount(5)])
  returning.close()
  await recreate()
  const first = await writer.numbered(3, 'a')
  const numbers = first.map(({ n }) => n)
  await toldOfReset(live, 5, numbers)
  // Another pod must give the new log the same epoch.
  const other = await lab.gateway()
  await returning.connect(other.url)
  await toldOfReset(returning, 5, numbers)
  await live.connect(other.url)
  await live.untilControl('$live', 1)
  const next = await writer.numbered(1, 'a')
  await live.untilCount(9)
  expect(live.numbers.slice(5)).toEqual([...numbers, ...next.map(({ n }) => n)])
  expect(live.controls.filter(({ type }) => type === '$gap')).toHaveLength(1)
})

test('a new epoch that another pod has written is noticed', async () => {
  const live = await lab.liveClient(gateway, ['a'])
  const events = await writer.numbered(3, 'a')
  await live.untilCount(3)
  const { config } = await writer.manager.streams.info('EVENTS')
  await writer.manager.streams.update('EVENTS', { metadata: { ...config.metadata, 'sse-epoch': 'renewed' } })
  const client = await lab.client(gateway, { topics: ['a'], lastEventId: 'renewed-2' })
  if (client.events.length === 0 && !client.control('$position')) await client.untilClosed()
  await waitUntil(
    async () => {
      if (client.control('$live')) return true
      if (!client.open) await client.connect(gateway.url)
      return false
    },
    { what: 'the pod to serve the new epoch', intervalMs: 100 },
  )
  expect(client.numbers).toEqual([events[2]?.n])
  await toldOfReset(
    live,
    3,
    events.map(({ n }) => n),
  )
})

test('a log that was rolled back gets a new epoch, and everybody is told', async () => {
  const live = await lab.liveClient(gateway, ['a'])
  const old = await writer.numbered(5, 'a')
  await live.untilCount(5)
  const backup = await makeBackup()
  await writer.numbered(5, 'a')
  await live.untilCount(10)
  const known = await epoch()
  const returning = await lab.client(gateway, { topics: ['a'], lastEventId: live.events[6]?.id as string })
  await returning.untilCount(3)
  returning.close()
  await restore(backup)
  await live.untilControl('$gap')
  const next = await writer.numbered(2, 'a')
  expect(await epoch()).not.toBe(known)
  const numbers = [...old, ...next].map(({ n }) => n)
  await toldOfReset(live, 10, numbers)
  await returning.connect(gateway.url)
  await toldOfReset(returning, 3, numbers)
})

test('a log that comes back rolled back after a long time away is noticed too', async () => {
  const live = await lab.liveClient(gateway, ['a'])
  const old = await writer.numbered(5, 'a')
  await live.untilCount(5)
  const backup = await makeBackup()
  await writer.numbered(5, 'a')
  await live.untilCount(10)
  // Longer than a gateway waits before it creates a stream that is missing.
  await restore(backup, 18_000)
  await live.untilControl('$gap')
  const next = await writer.numbered(2, 'a')
  await toldOfReset(
    live,
    10,
    [...old, ...next].map(({ n }) => n),
  )
})

test('a log that was rolled back and has grown past the old position meanwhile is told from the one that was read', async () => {
  const proxy = await startNatsProxy(lab.nats.port)
  const away = await lab.gateway({ NATS_URL: proxy.url })
  const live = await lab.liveClient(away, ['a'])
  const old = await writer.numbered(5, 'a')
  await live.untilCount(5)
  const backup = await makeBackup()
  await writer.numbered(5, 'a')
  await live.untilCount(10)
  // Nobody else has read the log that is lost.
  await gateway.kill()
  proxy.cut()
  await restore(backup)
  const next = await writer.numbered(20, 'a')
  proxy.mend()
  await toldOfReset(
    live,
    10,
    [...old, ...next].map(({ n }) => n),
  )
  await proxy.stop()
})
