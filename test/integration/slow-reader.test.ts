import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let gateway: Service
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway({
    RECENT_LOG_BYTES: 1_048_576,
    WARM_EVENTS: 0,
    REPLAY_PAGE_BYTES: 65_536,
    HEARTBEAT_INTERVAL_MS: 500,
  })
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const mebibyte = 1_048_576
/** Fast readers have what was stored within this time: far above what it takes, far below any wait for slow ones. */
const promptMs = 3_000
function residentBytes(service: Service): number {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}
const unsent = () => gateway.metric('sse_unsent_bytes')

test('slow readers neither grow memory nor delay others, and get everything when they read on', async () => {
  const topics = ['slow']
  const fast = await Promise.all([1, 2, 3].map(() => lab.liveClient(gateway, topics)))
  const slow = await Promise.all(Array.from({ length: 10 }, () => lab.liveClient(gateway, topics)))
  await writer.numbered(400, topics, 4_000)
  await Promise.all([...fast, ...slow].map((client) => client.untilCount(400)))
  for (const client of slow) client.pause()
  const before = residentBytes(gateway)
  // 24 MB for each: more than kernel buffers and recent log hold together.
  for (let round = 0; round < 12; round++) {
    await writer.numbered(500, topics, 4_000)
    await Promise.all(fast.map((client) => client.untilCount(400 + 500 * (round + 1), promptMs)))
  }
  await waitUntil(
    async () =>
      (await gateway.metric('sse_connections{state="blocked"}')) +
        (await gateway.metric('sse_connections{state="replaying"}')) >=
      10,
    { what: 'the slow readers to be left alone' },
  )
  // 10 queues would hold 240 MB. Shared pages of 64 KB hold next to nothing.
  expect(await unsent()).toBeLessThan(5 * mebibyte)
  expect(await unsent()).toBeGreaterThan(0)
  if (process.platform === 'linux') expect(residentBytes(gateway) - before).toBeLessThan(100 * mebibyte)
  for (const client of slow) client.unpause()
  for (const client of [...fast, ...slow]) {
    await client.untilCount(6_400, 30_000)
    expect(client.numbers).toEqual(writer.acknowledged.map(({ n }) => n))
  }
  await waitUntil(async () => (await unsent()) === 0, { what: 'the memory of slow readers to be let go' })
  // And they are live again.
  await writer.numbered(1, topics)
  await Promise.all(slow.map((client) => client.untilCount(6_401)))
  expect(slow.every((client) => client.control('$gap') === undefined)).toBe(true)
})

test('a reader that never reads is closed as too slow, and is told from one that reads slowly', async () => {
  const strict = await lab.gateway({ RECENT_LOG_BYTES: mebibyte, WARM_EVENTS: 0, STALL_TIMEOUT_MS: 4_000 })
  const stuck = await lab.liveClient(strict, ['stuck'])
  const crawling = await lab.liveClient(strict, ['stuck'])
  const fast = await lab.liveClient(strict, ['stuck'])
  stuck.pause()
  const crawl = setInterval(() => {
    crawling.unpause()
    setImmediate(() => crawling.pause())
  }, 50)
  const published = await writer.numbered(4_000, 'stuck', 4_000)
  const closed = () => strict.metric('sse_connections_closed_total{reason="too-slow"}')
  await waitUntil(async () => (await closed()) === 1, { what: 'the stuck reader to be closed' })
  await fast.untilCount(4_000)
  clearInterval(crawl)
  crawling.unpause()
  await crawling.untilCount(4_000)
  expect(crawling.numbers).toEqual(published.map(({ n }) => n))
  expect(await closed()).toBe(1)
  // Coming back later it loses nothing either.
  stuck.unpause()
  await stuck.untilClosed()
  await stuck.connect(strict.url)
  await stuck.untilCount(4_000)
  expect(stuck.numbers).toEqual(published.map(({ n }) => n))
  await waitUntil(async () => (await strict.metric('sse_unsent_bytes')) === 0, {
    what: 'its memory to be let go',
  })
  await strict.kill()
})
