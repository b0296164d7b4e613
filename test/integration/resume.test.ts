import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let here: Service
let there: Service
let writer: LogWriter

// A recent log of one page: about 500 small events. What is older comes from the stream.
const small = { RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 100, HEARTBEAT_INTERVAL_MS: 200 }

beforeAll(async () => {
  lab = await Lab.start()
  ;[here, there] = await Promise.all([lab.gateway(small), lab.gateway(small)])
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const replays = (gateway: Service, source: string) =>
  gateway.metric(`sse_replays_total{source="${source}",outcome="completed"}`)

test('the first block comes at once: retry and a $position that is not ahead of what follows', async () => {
  const client = await lab.client(here, { topics: ['quiet.first'] })
  const first = await client.untilFirstBlock()
  expect(client.headers).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  expect(client.body).toMatch(/^retry: \d+\nevent: \$position\nid: [a-z0-9]+-\d+\ndata: \{\}\n\n/)
  expect(client.retryMs).toBeGreaterThanOrEqual(50)
  const next = await writer.publish('quiet.first', { n: 0 })
  await client.untilCount(1)
  expect(Number(first.id?.split('-')[1])).toBeLessThan(next)
})

test('a client resumes on another pod from its recent log, without gap or duplicate', async () => {
  const client = await lab.liveClient(here, ['memory.>'])
  const before = await writer.numbered(50, ['memory.a', 'memory.b'])
  await client.untilCount(50)
  client.close()
  const missed = await writer.numbered(50, ['memory.a', 'memory.b'])
  const memory = await replays(there, 'memory')
  await client.connect(there.url)
  const live = await client.untilLive()
  expect(live.after).toBe(100)
  const after = await writer.numbered(50, 'memory.a')
  await client.untilCount(150)
  expect(client.numbers).toEqual([...before, ...missed, ...after].map(({ n }) => n))
  expect(await replays(there, 'memory')).toBe(memory + 1)
  expect(client.control('$gap')).toBeUndefined()
})

test('a client resumes from the stream, beyond the recent log, and hears $live when it has caught up', async () => {
  const client = await lab.liveClient(here, ['deep.>'])
  const before = await writer.numbered(10, 'deep.a')
  await client.untilCount(10)
  client.close()
  const missed = await writer.numbered(4_000, ['deep.a', 'deep.b', 'other.c'], 100)
  const wanted = missed.filter(({ topic }) => topic !== 'other.c')
  const stream = await replays(there, 'stream')
  const heard = client.controls.length
  await client.connect(there.url)
  const first = await waitUntil(() => client.controls[heard], { what: 'the first block' })
  expect(first.type).toBe('$position')
  expect(first.id).toBe(`${client.events[9]?.epoch}-${before[9]?.sequence}`)
  const live = await client.untilLive()
  expect(client.numbers).toEqual([...before, ...wanted].map(({ n }) => n))
  expect(live.after).toBe(10 + wanted.length)
  expect(await replays(there, 'stream')).toBe(stream + 1)
})

test.each([[['seam.rare']], [['seam.>']], [['*.rare', 'seam.*']]])(
  'resumes of %s cross from the stream to the recent log while events keep arriving',
  async (topics) => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => lab.liveClient(here, topics)))
    const begun = await writer.numbered(1, 'seam.rare')
    await Promise.all(clients.map((client) => client.untilCount(1)))
    const backlog = await writer.numbered(3_000, [...Array(9).fill('seam.often'), 'seam.rare'], 150)
    const publishing = writer.keepPublishing(['seam.often', 'seam.rare'], 0)
    // From pod to pod while the log grows: each hop begins wherever the client had got to.
    for (let hop = 0; hop < 4; hop++) {
      for (const [index, client] of clients.entries()) {
        await client.connect((hop + index) % 2 ? here.url : there.url)
        await waitUntil(() => client.events.length > 200 * hop, {
          what: 'some progress',
          timeoutMs: 3_000,
        }).catch(() => undefined)
      }
    }
    const published = [...begun, ...backlog, ...(await publishing.stop())]
    const expected = published.filter(
      ({ topic }) => topics.length > 1 || topics[0] === 'seam.>' || topic === topics[0],
    )
    for (const client of clients) {
      await client.untilCount(expected.length)
      expect(client.numbers).toEqual(expected.map(({ n }) => n))
    }
  },
)

test('the client of a quiet topic resumes from the position of a heartbeat', async () => {
  const client = await lab.liveClient(here, ['quiet.topic'])
  const busy = await writer.numbered(3_000, 'busy.topic', 100)
  const head = busy.at(-1)?.sequence as number
  await waitUntil(() => Number(client.lastEventId?.split('-')[1]) >= head, {
    what: 'a heartbeat at the head',
  })
  expect(client.events).toEqual([])
  client.close()
  const missed = await writer.publish('quiet.topic', { n: -1 })
  const memory = await replays(there, 'memory')
  await client.connect(there.url)
  await client.untilLive()
  expect(client.sequences).toEqual([missed])
  expect(await replays(there, 'memory')).toBe(memory + 1)
})

test('the same bytes reach all subscribers, live and replayed, on every pod', async () => {
  const only = (body: string) => body.split('\n\n').filter((block) => block.startsWith('id: '))
  const live = await Promise.all([here, there].map((pod) => lab.liveClient(pod, ['bytes.>'])))
  await writer.numbered(1_500, ['bytes.a', 'bytes.b'], 100)
  await Promise.all(live.map((client) => client.untilCount(1_500)))
  const lastEventId = live[0]?.control('$position')?.id as string
  const replayed = await Promise.all(
    [here, there].map((pod) => lab.client(pod, { topics: ['bytes.*'], lastEventId })),
  )
  await Promise.all(replayed.map((client) => client.untilLive()))
  const reference = only(live[0]?.body as string)
  expect(reference).toHaveLength(1_500)
  for (const client of [...live, ...replayed]) expect(only(client.body)).toEqual(reference)
})

test('many resumes leave no consumer behind: one per gateway is all there is', async () => {
  const clients = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      lab.client(n % 2 ? here : there, {
        topics: [n % 3 ? `deep.${n % 5}` : 'deep.>'],
        query: { since: 'all' },
      }),
    ),
  )
  await Promise.all(clients.map((client) => client.untilLive()))
  await waitUntil(async () => (await lab.consumers()).length === 2, {
    what: 'the replays’ consumers to be gone',
  })
  expect((await lab.consumers()).every((name) => name.startsWith('gateway-tail'))).toBe(true)
})
