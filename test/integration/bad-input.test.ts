import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import { rawRequest } from '../support/raw-request.ts'
import type { Service } from '../support/service.ts'

let lab: Lab
let gateway: Service

beforeAll(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(async () => {
  expect(await gateway?.isReady()).toBe(true)
  expect(gateway?.output()).not.toContain('a request failed')
  await lab?.stop()
})

async function refused(
  path: string,
  status: number,
  name: string,
  init: RequestInit = {},
): Promise<Response> {
  const answer = await fetch(`${gateway.url}${path}`, init)
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toContain('application/problem+json')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  if (init.method !== 'HEAD') {
    expect(await answer.clone().json()).toEqual({
      ...((await answer.clone().json()) as object),
      type: `urn:sse-cluster:problem:${name}`,
      title: expect.any(String),
      status,
      detail: expect.any(String),
    })
  }
  return answer
}

test('no topic gets 400 with an example', async () => {
  const answer = await refused('/v1/events', 400, 'bad-topic')
  expect(await answer.json()).toMatchObject({
    detail: expect.stringContaining('?topic=news.tech'),
    parameter: 'topic',
  })
})

test.each([
  '',
  '.',
  'a.',
  '.a',
  'a..b',
  'a b',
  'a/b',
  'ä',
  '$SYS.x',
  'a.>.b',
  'a*',
  'a.b*',
  '>a',
  '**',
  'a\r\nid: 1',
  'a\0',
  Array(17).fill('a').join('.'),
  'a'.repeat(256),
])('the topic %j gets 400, and is named', async (topic) => {
  const answer = await refused(`/v1/events?topic=good&topic=${encodeURIComponent(topic)}`, 400, 'bad-topic')
  expect(await answer.json()).toMatchObject({ detail: expect.stringContaining(JSON.stringify(topic)) })
})

test.each(['a'.repeat(255), Array(16).fill('a').join('.'), '*', '>', 'a.*.>', '*.*', '_-A9'])(
  'the topic %.30s is taken',
  async (topic) => {
    const client = await lab.liveClient(gateway, [topic])
    expect(client.status).toBe(200)
  },
)

test.each(['topic=%', 'topic=%zz', 'topic[]=a', 'topic[a]=b', 'Topic=a', 'topic=a%00'])(
  'the query %s does no harm',
  async (query) => {
    expect((await fetch(`${gateway.url}/v1/events?${query}`)).status).toBe(400)
  },
)

test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'])('%s gets 405 with Allow', async (method) => {
  const answer = await refused('/v1/events?topic=a', 405, 'method-not-allowed', { method })
  expect(answer.headers.get('allow')).toBe('GET')
})

test('POST with a body of any type gets 405 too', async () => {
  const body = 'x'.repeat(100_000)
  await refused('/v1/events', 405, 'method-not-allowed', {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/x-ndjson' },
  })
})

test.each(['application/json', 'text/html, application/xml', 'image/*'])(
  'Accept: %s gets 406',
  async (accept) => {
    await refused('/v1/events?topic=a', 406, 'not-acceptable', { headers: { accept } })
  },
)

test.each(['*/*', 'text/*', 'text/event-stream', 'application/json, Text/Event-Stream;q=0.9'])(
  'Accept: %s is taken',
  async (accept) => {
    const answer = await fetch(`${gateway.url}/v1/events?topic=a`, { headers: { accept } })
    expect(answer.status).toBe(200)
    await answer.body?.cancel()
  },
)

test.each([
  '/',
  '/v1',
  '/v1/events/',
  '/v1/events/x',
  '/metrics',
  '/livez',
  '/readyz',
  '/v2/events?access_token=x',
])('%s gets 404', async (path) => {
  const answer = await refused(path, 404, 'not-found')
  expect(await answer.text()).not.toContain('access_token')
})

test('what is not HTTP gets 400', async () => {
  const answer = await rawRequest(gateway.port, (socket) => socket.write('hello\r\n\r\n'))
  expect(answer).toMatch(/^HTTP\/1.1 400 /)
  expect(answer).toContain('urn:sse-cluster:problem:bad-request')
})

const streamRequest = (topic: string) => `GET /v1/events?topic=${topic} HTTP/1.1\r\nHost: x\r\n\r\n`

test('what a client sends after its request is thrown away', async () => {
  const client = await lab.liveClient(gateway, ['a'])
  const writer = await lab.writer()
  const answer = await rawRequest(gateway.port, (socket) => {
    socket.write(streamRequest('a'))
    socket.once('data', () => socket.end(streamRequest('b') + 'x'.repeat(1_000_000)))
  })
  expect(answer.match(/HTTP\/1.1 \d/g)).toHaveLength(1)
  await writer.numbered(1, 'a')
  await client.untilCount(1)
})

test('a stream asked for together with another does not get into it', async () => {
  const writer = await lab.writer()
  const answer = await rawRequest(gateway.port, (socket) => {
    socket.write(streamRequest('first') + streamRequest('second'))
    socket.once('data', async () => {
      await writer.numbered(1, 'second')
      await writer.numbered(1, 'first')
    })
    socket.on('data', (text: string) => text.includes('"topic":"first"') && socket.end())
  })
  expect(answer.match(/HTTP\/1.1 \d/g)).toHaveLength(1)
  expect(answer).not.toContain('"topic":"second"')
})

test('what is not HTTP, together with a request, gets 400 and no stream', async () => {
  const answer = await rawRequest(gateway.port, (socket) =>
    socket.write(`${streamRequest('a')}hello\r\n\r\n`),
  )
  expect(answer.match(/HTTP\/1.1 \d/g)).toHaveLength(1)
  expect(answer).toMatch(/^HTTP\/1.1 400 /)
})

test.each([
  ['HEARTBEAT_INTERVAL_MS', '99'],
  ['MAX_TOPICS', 'many'],
  ['PORT', '70000'],
  ['LOG_LEVEL', 'loud'],
  ['RETRY_MIN_MS', '5000'],
])('the setting %s=%s stops the start and is named', async (name, value) => {
  const bad = await lab.gateway({ [name]: value }, { ready: false })
  expect(await bad.exited).toBe(1)
  expect(bad.output()).toContain(name)
})

test('a port that is taken stops the start and is named', async () => {
  const bad = await lab.gateway({ PORT: gateway.port }, { ready: false })
  expect(await bad.exited).toBe(1)
  expect(bad.output()).toContain(String(gateway.port))
})
