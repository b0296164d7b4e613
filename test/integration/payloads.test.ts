import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'

let lab: Lab
let here: Service
let there: Service
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  ;[here, there] = await Promise.all([
    lab.gateway(),
    lab.gateway({ RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0 }),
  ])
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const bytes = (text: string) => new TextEncoder().encode(text)
const base64 = (raw: Uint8Array) => Buffer.from(raw).toString('base64')
const invalid = Uint8Array.of(0x66, 0xff, 0xfe, 0x0a, 0x0a, 0x00)
const truncated = bytes('"é').subarray(0, 2)

const cases: { name: string; payload: Uint8Array; data: unknown; encoding?: string; raw?: string }[] = [
  { name: 'JSON on several lines', payload: bytes('{\n"a":\r\n[1,\r2]\n}\n'), data: { a: [1, 2] } },
  {
    name: 'JSON, untouched',
    payload: bytes('{"z":1.0,"a":1e2 }'),
    data: { z: 1, a: 100 },
    raw: '{"z":1.0,"a":1e2 }',
  },
  {
    name: 'large numbers',
    payload: bytes('12345678901234567890'),
    data: Number('12345678901234567890'),
    raw: '12345678901234567890',
  },
  { name: 'a JSON text with U+2028', payload: bytes('"a\u2028b\u2029c"'), data: 'a\u2028b\u2029c' },
  {
    name: 'text that is not JSON, with line breaks',
    payload: bytes('a\nb\r\nc\rdata: x\n\nid: 1\n\n'),
    data: 'a\nb\r\nc\rdata: x\n\nid: 1\n\n',
  },
  { name: 'text with 0x00', payload: bytes('a\0b'), data: 'a\0b' },
  { name: 'text with U+2028 and U+0085', payload: bytes('a\u2028b\u0085c'), data: 'a\u2028b\u0085c' },
  { name: 'a JSON text with a raw line break', payload: bytes('"a\nb"'), data: '"a\nb"' },
  { name: 'a byte order mark', payload: bytes('\ufeff{}'), data: '\ufeff{}' },
  { name: 'nothing', payload: new Uint8Array(), data: '' },
  { name: 'invalid UTF-8', payload: invalid, data: base64(invalid), encoding: 'base64' },
  { name: 'half a character', payload: truncated, data: base64(truncated), encoding: 'base64' },
  { name: 'a lone surrogate, escaped', payload: bytes('"\\ud800"'), data: '\ud800' },
  { name: 'a large event', payload: bytes(JSON.stringify('x'.repeat(900_000))), data: 'x'.repeat(900_000) },
]

test.each(cases)(
  '$name from a NATS client reaches every subscriber as one event',
  async ({ payload, data, encoding, raw }) => {
    const live = await Promise.all([here, there].map((pod) => lab.liveClient(pod, ['payload'])))
    const sequence = await writer.publish('payload', payload)
    await writer.publish('payload', { n: 'next' })
    await Promise.all(live.map((client) => client.untilCount(2)))
    const lastEventId = live[0]?.control('$position')?.id as string
    const replayed = await Promise.all(
      [here, there].map((pod) => lab.client(pod, { topics: ['payload'], lastEventId })),
    )
    await Promise.all(replayed.map((client) => client.untilLive()))
    const blocks = [...live, ...replayed].map((client) =>
      client.body.split('\n\n').filter((block) => block.startsWith('id: ')),
    )
    for (const [index, client] of [...live, ...replayed].entries()) {
      expect(client.events).toHaveLength(2)
      expect(client.events[0]).toMatchObject({ sequence, topic: 'payload', data, type: undefined })
      expect(client.events[0]?.encoding).toBe(encoding)
      expect(client.events[1]?.data).toEqual({ n: 'next' })
      expect(blocks[index]).toEqual(blocks[0])
    }
    if (raw) expect(blocks[0]?.[0]).toContain(`"data":${raw}}`)
  },
)

test.each(['order.shipped', 'A_1-b:c/d'])('the type %s becomes the event’s', async (type) => {
  const client = await lab.liveClient(here, ['type'])
  await writer.publish('type', 1, { type })
  await client.untilCount(1)
  expect(client.events[0]?.type).toBe(type)
})

test.each(['$position', '$closing', 'with space', 'ünï', '', 'x'.repeat(200), 'a\tb'])(
  'a type that must not stand in a frame (%.20j) is left out, and the event arrives',
  async (type) => {
    const client = await lab.liveClient(here, ['type'])
    await writer.publish('type', { n: 1 }, { headers: { 'Event-Type': type } })
    await client.untilCount(1)
    expect(client.events[0]).toMatchObject({ type: undefined, data: { n: 1 } })
  },
)

test('a subject with tokens that no topic may have does not break a frame', async () => {
  const client = await lab.liveClient(here, ['>'])
  await writer.publish('odd."quote"\\', { n: 1 })
  await client.untilCount(1)
  expect(client.events[0]).toMatchObject({ topic: 'odd."quote"\\', data: { n: 1 } })
})
