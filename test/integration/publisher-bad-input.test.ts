import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type NatsServer, startNatsServer } from '../support/nats-server.ts'
import { type PostOptions, post } from '../support/publish.ts'
import { rawRequest } from '../support/raw-request.ts'
import { type Service, startService } from '../support/service.ts'

let nats: NatsServer
let publisher: Service

beforeAll(async () => {
  nats = await startNatsServer()
  publisher = await startService('publisher', {
    NATS_URL: nats.url,
    MAX_EVENT_BYTES: 4096,
    HEADERS_TIMEOUT_MS: 500,
    REQUEST_TIMEOUT_MS: 1000,
    CORS_ORIGINS: 'https://app.example.com',
  })
})

afterAll(async () => {
  await publisher?.term()
  await nats?.stop()
})

const send = (body: Parameters<typeof post>[1], options?: PostOptions) => post(publisher.url, body, options)

/** Every refusal is a problem document, changes nothing in the log, and leaves the service up. */
async function refused(body: Parameters<typeof post>[1], options?: PostOptions) {
  const answer = await send(body, options)
  expect(answer.headers.get('content-type')).toContain('application/problem+json')
  expect(answer.json).toMatchObject({
    type: expect.stringMatching(/^urn:sse-cluster:problem:/),
    title: expect.any(String),
    status: answer.status,
    detail: expect.any(String),
  })
  expect((await send({ topic: 'still.up', data: 1 })).status).toBe(201)
  return answer
}

describe('broken JSON is refused with 400 and its line and column', () => {
  test.each([
    ['{"topic":"a",\n  "data": tru}', 2, 11],
    ['{"topic":"a","data":1', 1, 22],
    ['{"topic":"a","data":1}}', 1, 23],
    ['{"topic":"a","data":[1,]}', 1, 24],
    ['{"topic":"a","data":01}', 1, 21],
    ["{'topic':1}", 1, 2],
    ['{"topic":"a",\r\n"data":"line\nbreak"}', 2, 8],
    ['{"topic":"a","data":"\\x"}', 1, 21],
    ['{"topic" "a"}', 1, 10],
    ['{"a":1,}', 1, 8],
    ['\ufeff{"topic":"a","data":1}', 1, 1],
    ['', 1, 1],
    [' ', 1, 2],
  ])('%j', async (body, line, column) => {
    const answer = await refused(body)
    expect(answer.status).toBe(400)
    expect(answer.json).toMatchObject({ line, column })
  })

  test('bytes that are not UTF-8', async () => {
    const answer = await fetch(`${publisher.url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.concat([Buffer.from('{"topic":"a",\n"data":"ü'), Buffer.from([0xff, 0x22, 0x7d])]),
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ line: 2, column: 10 })
  })
})

describe('a wrong event is refused with 422 and a pointer to the fault', () => {
  const event = { topic: 'a', data: 1 }
  test.each<[string, unknown, string]>([
    ['no object', [1].toString(), ''],
    ['null', 'null', ''],
    ['no topic', { data: 1 }, '/topic'],
    ['no data', { topic: 'a' }, '/data'],
    ['an empty topic', { ...event, topic: '' }, '/topic'],
    ['a topic that is a number', { ...event, topic: 1 }, '/topic'],
    ['the wildcard *', { ...event, topic: 'a.*' }, '/topic'],
    ['the wildcard >', { ...event, topic: '>' }, '/topic'],
    ['an empty token', { ...event, topic: 'a..b' }, '/topic'],
    ['a space in the topic', { ...event, topic: 'a b' }, '/topic'],
    ['CR LF in the topic', { ...event, topic: 'a\r\nPUB x 0' }, '/topic'],
    ['17 tokens', { ...event, topic: Array(17).fill('a').join('.') }, '/topic'],
    ['a topic of 256 characters', { ...event, topic: 'a'.repeat(256) }, '/topic'],
    ['a type of the gateway', { ...event, type: '$position' }, '/type'],
    ['CR LF in the type', { ...event, type: 'a\r\nid: 1' }, '/type'],
    ['LF in the type', { ...event, type: 'a\ndata: x' }, '/type'],
    ['U+0000 in the type', { ...event, type: 'a\0' }, '/type'],
    ['an empty type', { ...event, type: '' }, '/type'],
    ['a type that is null', { ...event, type: null }, '/type'],
    ['CR LF in the id', { ...event, id: 'a\r\nEvent-Type: $gap' }, '/id'],
    ['an empty id', { ...event, id: '' }, '/id'],
    ['an id of 256 characters', { ...event, id: 'a'.repeat(256) }, '/id'],
    ['an id that is a number', { ...event, id: 1 }, '/id'],
    ['an unknown member', { ...event, 'ty/pe': 'x' }, '/ty~1pe'],
  ])('%s', async (_name, body, pointer) => {
    const answer = await refused(body as object | string)
    expect(answer.status).toBe(422)
    expect(answer.json).toMatchObject({ pointer, line: 1, column: expect.any(Number) })
  })

  test('an Idempotency-Key with a space', async () => {
    expect((await refused(event, { headers: { 'idempotency-key': 'a b' } })).status).toBe(422)
  })
})

describe('requests that do not fit', () => {
  test.each<[string, number, Parameters<typeof post>[1], PostOptions]>([
    ['an unknown content type', 415, 'x', { headers: { 'content-type': 'text/plain' } }],
    ['a form', 415, 'topic=a', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
    ['a compressed body', 415, '{}', { headers: { 'content-encoding': 'gzip' } }],
    ['an event that is too large', 413, { topic: 'a', data: 'x'.repeat(5000) }, {}],
    ['an unknown path', 404, undefined, { method: 'GET', path: '/v2/events' }],
    ['a bad address', 400, undefined, { method: 'GET', path: '/v1/%zz' }],
  ])('%s: %i', async (_name, status, body, options) => {
    expect((await refused(body, options)).status).toBe(status)
  })

  test.each(['GET', 'PUT', 'DELETE', 'PATCH'])('the method %s gets 405 with Allow', async (method) => {
    const answer = await refused(undefined, { method })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('POST')
  })

  test('no content type gets 415', async () => {
    const answer = await rawRequest(publisher.port, (socket) =>
      socket.write('POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}'),
    )
    expect(answer).toMatch(/^HTTP\/1.1 415 /)
  })

  test('1 MB of headers gets 431', async () => {
    const answer = await rawRequest(publisher.port, (socket) =>
      socket.write(`POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(1_000_000)}\r\n\r\n`),
    )
    expect(answer).toMatch(/^HTTP\/1.1 431 /)
    expect(answer).toContain('urn:sse-cluster:problem:headers-too-large')
  })

  test('headers that never end get 408', async () => {
    const answer = await rawRequest(publisher.port, (socket) =>
      socket.write('POST /v1/events HTTP/1.1\r\nHost: x\r\n'),
    )
    expect(answer).toMatch(/^HTTP\/1.1 408 /)
    expect(answer).toContain('urn:sse-cluster:problem:request-timeout')
  })

  test('a body that never ends gets 408', async () => {
    const answer = await rawRequest(publisher.port, (socket) =>
      socket.write(
        'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
      ),
    )
    expect(answer).toMatch(/^HTTP\/1.1 408 /)
  })

  test('what is not HTTP gets 400', async () => {
    const answer = await rawRequest(publisher.port, (socket) => socket.write('hello\r\n\r\n'))
    expect(answer).toMatch(/^HTTP\/1.1 400 /)
    expect(answer).toContain('urn:sse-cluster:problem:bad-request')
  })
})

describe('CORS', () => {
  const preflight = (origin: string) =>
    send(undefined, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    })

  test('lets pages of the allow-list publish', async () => {
    const answer = await preflight('https://app.example.com')
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example.com')
    expect(answer.headers.get('access-control-allow-headers')).toContain('idempotency-key')
    const origin = { headers: { origin: 'https://app.example.com' } }
    expect((await send({ topic: 'a' }, origin)).headers.get('access-control-allow-origin')).toBe(
      'https://app.example.com',
    )
  })

  test('lets no others', async () => {
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull()
  })
})
