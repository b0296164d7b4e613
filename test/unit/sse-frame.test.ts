import { createParser, type EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  closingBlock,
  encodeEvent,
  firstBlock,
  gapBlock,
  type LogEvent,
  liveBlock,
  positionBlock,
} from '../../services/gateway/sse-frame.ts'

const timeMs = Date.UTC(2026, 10, 22, 9, 30, 0, 123)

function frameOf(payload: string | Uint8Array, event: Partial<LogEvent> = {}): string {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  return encodeEvent('7f3a9c', {
    sequence: 10_482,
    topic: 'orders.42',
    type: undefined,
    timeMs,
    payload: bytes,
    ...event,
  }).toString()
}

/** What an independent parser makes of `text`, between two events that it must not disturb. */
function parse(text: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => events.push(event), onError: (error) => fail(error) })
  parser.feed(`data: before\n\n${text}data: after\n\n`)
  expect([events.shift()?.data, events.pop()?.data]).toEqual(['before', 'after'])
  return events
}

function fail(error: Error): never {
  throw error
}

interface Body {
  topic: string
  time: string
  data: unknown
  encoding?: string
}

function bodyOf(payload: string | Uint8Array, event: Partial<LogEvent> = {}): Body {
  const text = frameOf(payload, event)
  const [message, ...more] = parse(text)
  expect(more).toEqual([])
  expect(text.match(/^data:/gm)).toHaveLength(1)
  return JSON.parse(message?.data as string) as Body
}

test('an event is the block that the contract shows', () => {
  expect(frameOf('{"carrier":"DHL"}', { type: 'order.shipped' })).toBe(
    'id: 7f3a9c-10482\nevent: order.shipped\n' +
      'data: {"topic":"orders.42","time":"2026-11-22T09:30:00.123Z","data":{"carrier":"DHL"}}\n\n',
  )
})

test('without a type there is no event line', () => {
  expect(frameOf('1')).not.toContain('event:')
})

test('the publisher’s JSON stands in the frame untouched, down to its numbers and escapes', () => {
  const json =
    '{ "a":1.0, "big":12345678901234567890.00001e-2, "b" : [ ],"\\u0061":"\\ud83d\\ude00 é \u2028\u2029","a":2}'
  expect(frameOf(json)).toContain(`,"data":${json}}\n\n`)
})

test.each(['\n', '\r\n', '\r', '\n\n'])('line breaks between tokens (%j) become spaces', (lineBreak) => {
  expect(bodyOf(`{${lineBreak}"a":${lineBreak}[1,${lineBreak}2]}${lineBreak}`).data).toEqual({ a: [1, 2] })
})

test.each([
  ['text that is no JSON', 'hello\n\ndata: evil\r\rid: 7\n\n'],
  ['an empty payload', ''],
  ['broken JSON', '{"a":'],
  ['two JSON values', '1 2'],
  ['a byte order mark', '\ufeff{"a":1}'],
  ['0x00', 'a\u0000b'],
  ['0x00 in a JSON string', '"a\u0000b"'],
  ['U+2028', 'a\u2028b\u2029\u0085'],
  ['quotes and backslashes', '"\\'],
])('%s arrives as a JSON string', (_, text) => {
  const body = bodyOf(text)
  expect(body.data).toBe(text)
  expect(body.encoding).toBeUndefined()
})

test('bytes that are not UTF-8 arrive as base64, and say so', () => {
  const bytes = Uint8Array.of(0xff, 0xfe, 0x00, 0x0a, 0x0d, 0xc3)
  const body = bodyOf(bytes)
  expect(body.encoding).toBe('base64')
  expect(Buffer.from(body.data as string, 'base64')).toEqual(Buffer.from(bytes))
})

test('a payload inside a larger buffer is read from its own place', () => {
  const whole = Buffer.from('xxxx{"a":1}yyyy')
  expect(bodyOf(whole.subarray(4, 11)).data).toEqual({ a: 1 })
})

test('very deep JSON does not break the encoder', () => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  expect(frameOf(deep)).toContain(`"data":${deep}}`)
})

test.each(['a"b', 'a\\b', 'ä', 'a/b', 'a$b', 'a\u2028b', '{}', 'a:b', 'a\u0001b'])(
  'the topic %j of a NATS client arrives as it is',
  (topic) => {
    expect(bodyOf('1', { topic }).topic).toBe(topic)
  },
)

test('the time is the log’s, for events of one millisecond and of others', () => {
  for (const ms of [timeMs, timeMs, timeMs + 1, timeMs, 0])
    expect(bodyOf('1', { timeMs: ms }).time).toBe(new Date(ms).toISOString())
})

test('whatever the payload, the frame is one block with one line of data that holds it', () => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.string({ unit: 'binary', maxLength: 40 }).map((text) => Buffer.from(text)),
    fc.json().map((text) => Buffer.from(text)),
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value, undefined, '\r\n'))),
  )
  const pieces = fc
    .array(fc.constantFrom('\n', '\r', '"', '{', '}', 'data: ', 'id: 1', '\u0000', '\\', ' ', '1'), {
      maxLength: 12,
    })
    .map((parts) => Buffer.from(parts.join('')))
  fc.assert(
    fc.property(fc.oneof(payload, pieces), fc.string({ minLength: 1 }), (bytes, topic) => {
      const body = bodyOf(bytes, { topic })
      expect(body.topic).toBe(topic)
      if (body.encoding) expect(Buffer.from(body.data as string, 'base64')).toEqual(Buffer.from(bytes))
      else expect(body.data).toEqual(read(Buffer.from(bytes).toString()))
    }),
    { numRuns: 300 },
  )
})

function read(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

test('control blocks are events with data, so that every client takes over their position', () => {
  const id = '7f3a9c-7'
  expect(parse(positionBlock(id))).toEqual([{ id, event: '$position', data: '{}' }])
  expect(parse(liveBlock(id))).toEqual([{ id, event: '$live', data: '{}' }])
  expect(firstBlock(1_500, id)).toBe(`retry: 1500\n${positionBlock(id)}`)
})

test('a gap says what was asked for, as data, whatever stood in the request', () => {
  const requested = 'x\n\nid: 7\r\ndata: {}\u2028\ud800"'
  const [gap, ...more] = parse(gapBlock(requested, '7f3a9c-7', 'malformed'))
  expect(more).toEqual([])
  expect(gap).toMatchObject({ id: '7f3a9c-7', event: '$gap' })
  expect(JSON.parse(gap?.data as string)).toEqual({ requested, resumedAt: '7f3a9c-7', reason: 'malformed' })
})

test('a closing block has an id only when everything up to it was sent', () => {
  expect(parse(closingBlock('draining', 900, 'e-7'))).toEqual([
    { id: 'e-7', event: '$closing', data: '{"reason":"draining"}' },
  ])
  expect(parse(closingBlock('max-age', 900, undefined))[0]?.id).toBeUndefined()
  expect(closingBlock('max-age', 900, undefined)).toContain('retry: 900\n')
})
