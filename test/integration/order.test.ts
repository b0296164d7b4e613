import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { covers } from '../../services/contract/topic.ts'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'

let lab: Lab
let gateway: Service
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway()
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const topics = ['a.x', 'a.y', 'b.x', 'b.y.deep', 'b', 'c-1.x_y.z']

test.each([
  { wanted: ['a.x', 'b'] },
  { wanted: ['a.*'] },
  { wanted: ['*.x'] },
  { wanted: ['b.>'] },
  { wanted: ['>'] },
  { wanted: ['a.*', '*.x', 'a.x', 'b.>'] },
  { wanted: ['*.*.*', 'b'] },
])(
  'a subscriber of $wanted sees its events once each, in log order, live and replayed',
  async ({ wanted }) => {
    const live = await lab.liveClient(gateway, wanted)
    const published = await writer.numbered(600, topics)
    const expected = published
      .filter(({ topic }) => wanted.some((pattern) => covers(pattern, topic)))
      .sort((a, b) => a.sequence - b.sequence)
    await live.untilCount(expected.length)
    const replayed = await lab.client(gateway, {
      topics: wanted,
      lastEventId: live.control('$position')?.id as string,
    })
    await replayed.untilLive()
    for (const client of [live, replayed]) {
      expect(client.sequences).toEqual(expected.map(({ sequence }) => sequence))
      expect(client.numbers).toEqual(expected.map(({ n }) => n))
      expect(client.events.map(({ topic }) => topic)).toEqual(expected.map(({ topic }) => topic))
    }
  },
)

test('64 topics on one stream all arrive', async () => {
  const wanted = Array.from({ length: 64 }, (_, n) => `many.${n}`)
  const client = await lab.liveClient(gateway, wanted)
  const published = await writer.numbered(128, wanted)
  await client.untilCount(128)
  expect(client.numbers).toEqual(published.map(({ n }) => n))
})

test('clients that connect while events pour in miss none after their first block, and get none before it', async () => {
  const publishing = writer.keepPublishing(['pour.a', 'pour.b'], 0)
  const clients = []
  for (let n = 0; n < 30; n++) clients.push(await lab.liveClient(gateway, ['pour.*']))
  const published = await publishing.stop()
  const last = published.at(-1)?.sequence as number
  for (const client of clients) {
    const from = Number(client.control('$position')?.id?.split('-')[1])
    const expected = published.filter(({ sequence }) => sequence > from).map(({ sequence }) => sequence)
    if (expected.length > 0) await client.untilEvent(({ sequence }) => sequence === last)
    expect(client.sequences).toEqual(expected)
  }
})
