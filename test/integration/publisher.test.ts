import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseEventId } from '../../services/contract/event-id.ts'
import { type NatsServer, startNatsServer } from '../support/nats-server.ts'
import { post } from '../support/publish.ts'
import { type Service, startService } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

let nats: NatsServer
let publisher: Service
let connection: NatsConnection
let manager: JetStreamManager

beforeAll(async () => {
  nats = await startNatsServer()
  publisher = await startService('publisher', {
    NATS_URL: nats.url,
    MAX_EVENT_BYTES: 4096,
    MAX_BODY_BYTES: 1_048_576,
    MAX_BATCH_EVENTS: 2000,
  })
  connection = await connect({ servers: nats.url })
  manager = await jetstreamManager(connection)
})

afterAll(async () => {
  await connection?.close()
  await publisher?.term()
  await nats?.stop()
})

const send = (...[body, options]: [Parameters<typeof post>[1], Parameters<typeof post>[2]?]) =>
  post(publisher.url, body, options)
const atomic = { query: '?atomic=true' }
let unique = 0
beforeEach(() => {
  unique++
})

const sequenceOf = (id: unknown) => parseEventId(String(id))?.sequence ?? Number.NaN

async function stored(id: unknown) {
  const message = await manager.streams.getMessage('EVENTS', { seq: sequenceOf(id) })
  if (!message) throw new Error(`${String(id)} is not stored`)
  return {
    subject: message.subject,
    payload: message.string(),
    type: message.header.get('Event-Type'),
    messageId: message.header.get('Nats-Msg-Id'),
  }
}

async function lastSequence(): Promise<number> {
  return (await manager.streams.info('EVENTS')).state.last_seq
}

describe('one event', () => {
  test('is answered with 201 and the id under which the log keeps it', async () => {
    const answer = await send({
      topic: 'orders.42',
      type: 'order.shipped',
      data: { carrier: 'DHL' },
      id: 'o-1',
    })
    expect(answer.status).toBe(201)
    expect(answer.json).toEqual({ id: expect.any(String), duplicate: false })
    const { metadata } = (await manager.streams.info('EVENTS')).config
    expect(parseEventId(String(answer.json.id))?.epoch).toBe(metadata?.['sse-epoch'])
    expect(await stored(answer.json.id)).toEqual({
      subject: 'events.orders.42',
      payload: '{"carrier":"DHL"}',
      type: 'order.shipped',
      messageId: 'o-1',
    })
  })

  test('without type and id is stored without their headers', async () => {
    const { json } = await send({ topic: 'plain', data: null })
    expect(await stored(json.id)).toEqual({
      subject: 'events.plain',
      payload: 'null',
      type: '',
      messageId: '',
    })
  })

  test.each([
    '12345678901234567890.10',
    '"a\\u0000\\u2028 \\" \\\\ } ] ,"',
    '{"z":1,"a":[ 1.0,{"b":"}"} ],"__proto__":{"x":1}, "1":2}',
    '[ ]',
    '{"data":{"data":1}}',
    '"ünïcødé \u2028 👩‍🚀"',
    'true',
  ])('reaches the log with its data untouched: %s', async (data) => {
    const { json, status } = await send(
      `  {"id" : "untouched-${unique}" ,\n\t"data" : ${data} ,"topic":"raw" }\n`,
    )
    expect(status).toBe(201)
    expect((await stored(json.id)).payload).toBe(data)
  })

  test('with a member given twice keeps the last, like every JSON parser', async () => {
    const { json } = await send('{"topic":"twice","data":1,"da\\u0074a":{"last":true}}')
    expect((await stored(json.id)).payload).toBe('{"last":true}')
  })
})

describe('publishing is idempotent (G8)', () => {
  test('a repeated id is stored once and answered with the first event’s id', async () => {
    const first = await send({ topic: 'a', data: 1, id: `same-${unique}` })
    const last = await lastSequence()
    const again = await send({ topic: 'a', data: 2, id: `same-${unique}` })
    expect(again.status).toBe(201)
    expect(again.json).toEqual({ id: first.json.id, duplicate: true })
    expect(await lastSequence()).toBe(last)
  })

  test('Idempotency-Key is the same as id', async () => {
    const headers = { 'idempotency-key': `key-${unique}` }
    const first = await send({ topic: 'a', data: 1 }, { headers })
    expect((await send({ topic: 'a', data: 1, id: `key-${unique}` })).json).toEqual({
      id: first.json.id,
      duplicate: true,
    })
    expect((await send({ topic: 'a', data: 1, id: `key-${unique}` }, { headers })).json.duplicate).toBe(true)
  })

  test('an id and an Idempotency-Key that differ are refused', async () => {
    const answer = await send({ topic: 'a', data: 1, id: 'x' }, { headers: { 'idempotency-key': 'y' } })
    expect(answer.status).toBe(422)
    expect(answer.json.pointer).toBe('/id')
  })

  test('a hundred posts at once with one id store one event', async () => {
    const before = await lastSequence()
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => send({ topic: 'a', data: 1, id: `race-${unique}` })),
    )
    expect(await lastSequence()).toBe(before + 1)
    expect(new Set(answers.map((answer) => answer.json.id)).size).toBe(1)
    expect(answers.filter((answer) => answer.json.duplicate === false)).toHaveLength(1)
  })
})

describe('NDJSON', () => {
  test('has a result a line, in order, and keeps the order in the log', async () => {
    const answer = await send(Array.from({ length: 1500 }, (_, n) => ({ topic: `batch.${n % 7}`, data: n })))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toContain('application/x-ndjson')
    const sequences = answer.lines.map((line) => sequenceOf(line.id))
    expect(sequences).toHaveLength(1500)
    expect(sequences).toEqual(sequences.map((_, n) => (sequences[0] as number) + n))
    expect((await stored(answer.lines[1499]?.id)).payload).toBe('1499')
  })

  test('names the line and column of each fault and stores the other events', async () => {
    const { status, lines } = await send([
      { topic: 'a', data: 1 },
      '',
      '{"topic":"a","data":nul}\r',
      '{"topic":"a.*", "data":1}',
      '{"topic":"a"',
      { topic: 'a', data: 2, id: `nd-${unique}` },
      { topic: 'a', data: 3, id: `nd-${unique}` },
      { topic: 'a', data: 'x'.repeat(5000) },
    ])
    expect(status).toBe(200)
    expect(lines).toMatchObject([
      { duplicate: false },
      { error: { status: 400, line: 3, column: 21 } },
      { error: { status: 422, line: 4, column: 10, pointer: '/topic' } },
      { error: { status: 400, line: 5, column: 13 } },
      { duplicate: false },
      { duplicate: true },
      { error: { status: 413, line: 8 } },
    ])
    expect(lines[5]?.id).toBe(lines[4]?.id)
  })

  test.each([
    ['an empty body', '', 400],
    ['only blank lines', '\n\r\n \n', 400],
    ['more lines than allowed', '{"topic":"a","data":1}\n'.repeat(2001), 413],
    ['a body that is too large', 'x'.repeat(1_100_000), 413],
  ])('%s is refused as a whole', async (_name, body, status) => {
    const answer = await send(body, { headers: { 'content-type': 'application/x-ndjson' } })
    expect(answer.status).toBe(status)
    expect(answer.json.status).toBe(status)
  })

  test('with an Idempotency-Key is refused, since that is for one event', async () => {
    expect((await send([{ topic: 'a', data: 1 }], { headers: { 'idempotency-key': 'k' } })).status).toBe(422)
  })
})

describe('an atomic batch', () => {
  test('is stored in order under consecutive ids', async () => {
    const events = Array.from({ length: 1000 }, (_, n) => ({
      topic: 'atomic',
      data: n,
      id: `at-${unique}-${n}`,
    }))
    const { status, lines } = await send(events, atomic)
    expect(status).toBe(200)
    const sequences = lines.map((line) => sequenceOf(line.id))
    expect(sequences).toEqual(Array.from({ length: 1000 }, (_, n) => (sequences[0] as number) + n))
    expect((await stored(lines[999]?.id)).payload).toBe('999')
  })

  test('of one event works', async () => {
    const { lines } = await send([{ topic: 'atomic', data: 1 }], atomic)
    expect((await stored(lines[0]?.id)).payload).toBe('1')
  })

  test.each([
    ['broken JSON', '{"topic":', 400, { line: 3, column: 10 }],
    ['a wrong event', '{"topic":"a","data":1,"type":"$x"}', 422, { line: 3, column: 30, pointer: '/type' }],
    ['an event that is too large', `{"topic":"a","data":"${'x'.repeat(5000)}"}`, 413, { line: 3 }],
  ])('with %s stores nothing and names the line', async (_name, line, status, place) => {
    const before = await lastSequence()
    const answer = await send([{ topic: 'a', data: 1 }, { topic: 'a', data: 2 }, line], atomic)
    expect(answer.status).toBe(status)
    expect(answer.json).toMatchObject(place)
    expect(await lastSequence()).toBe(before)
  })

  test('sent again after a lost answer is answered with the first ids', async () => {
    const events = [1, 2, 3].map((n) => ({ topic: 'a', data: n, id: `again-${unique}-${n}` }))
    const first = await send(events, atomic)
    const last = await lastSequence()
    const again = await send(events, atomic)
    expect(again.lines).toEqual(first.lines.map(({ id }) => ({ id, duplicate: true })))
    expect(await lastSequence()).toBe(last)
  })

  test('stores what is new when some of its ids are known', async () => {
    const known = await send({ topic: 'a', data: 1, id: `known-${unique}` })
    const { lines } = await send(
      [
        { topic: 'a', data: 'x', id: `new-${unique}` },
        { topic: 'a', data: 1, id: `known-${unique}` },
        { topic: 'a', data: 'y' },
      ],
      atomic,
    )
    expect(lines).toMatchObject([
      { duplicate: false },
      { id: known.json.id, duplicate: true },
      { duplicate: false },
    ])
    expect((await stored(lines[2]?.id)).payload).toBe('"y"')
  })

  test('with one id twice is refused', async () => {
    const event = { topic: 'a', data: 1, id: `twice-${unique}` }
    const answer = await send([event, event], atomic)
    expect(answer.status).toBe(422)
    expect(answer.json).toMatchObject({ line: 2, pointer: '/id' })
  })

  test('of more than 1000 events is refused', async () => {
    const answer = await send(
      Array.from({ length: 1001 }, (_, n) => ({ topic: 'a', data: n })),
      atomic,
    )
    expect(answer.status).toBe(413)
    expect(answer.json.line).toBe(1001)
  })

  test('is refused as JSON, and atomic takes only true and false', async () => {
    expect((await send({ topic: 'a', data: 1 }, atomic)).status).toBe(400)
    expect((await send([{ topic: 'a', data: 1 }], { query: '?atomic=perhaps' })).status).toBe(400)
  })
})

test('metrics count outcomes and time acknowledgements, and show the stream', async () => {
  const outcome = (name: string) => publisher.metric(`sse_publishes_total{outcome="${name}"}`)
  const before = [await outcome('stored'), await outcome('duplicate'), await outcome('rejected')]
  await send([{ topic: 'a', data: 1, id: `m-${unique}` }, { topic: 'a', data: 1, id: `m-${unique}` }, '{'])
  await send({ topic: 'a' })
  const after = [await outcome('stored'), await outcome('duplicate'), await outcome('rejected')]
  expect(after.map((count, n) => count - (before[n] as number))).toEqual([1, 1, 2])
  expect(await publisher.metric('sse_publish_ack_seconds_count')).toBeGreaterThan(0)
  await waitUntil(async () => (await publisher.metric('sse_log_last_sequence')) === (await lastSequence()), {
    what: 'the stream’s numbers, which are read every few seconds',
  })
  expect(await publisher.metric('sse_log_bytes')).toBeGreaterThan(0)
  expect(await publisher.metric('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0)
})

test('OpenAPI describes both halves of /v1/events, and the page for it needs nothing from elsewhere', async () => {
  const document = (await send(undefined, { method: 'GET', path: '/openapi.json' })).json
  const paths = document.paths as Record<string, Record<string, { responses: Record<string, unknown> }>>
  expect(Object.keys(paths)).toEqual(['/v1/events'])
  expect(Object.keys(paths['/v1/events'] ?? {}).sort()).toEqual(['get', 'post'])
  expect(Object.keys(paths['/v1/events']?.post?.responses ?? {})).toEqual(
    expect.arrayContaining(['200', '201', '400', '401', '403', '413', '415', '422', '503']),
  )
  const page = await send(undefined, { method: 'GET', path: '/docs/' })
  expect(page.status).toBe(200)
  expect(page.text).not.toMatch(/https?:\/\//)
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
  expect((await send(undefined, { method: 'GET', path: '/docs/js/scalar.js' })).text.length).toBeGreaterThan(
    100_000,
  )
})
