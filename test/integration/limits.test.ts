import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import { rawRequest } from '../support/raw-request.ts'
import type { Service } from '../support/service.ts'
import { oddToken, secret, signToken } from '../support/tokens.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let small: Service
let byToken: Service

beforeAll(async () => {
  lab = await Lab.start()
  ;[small, byToken] = await Promise.all([
    lab.gateway({ MAX_CONNECTIONS: 5, MAX_URL_BYTES: 1_024, HEADERS_TIMEOUT_MS: 500 }),
    lab.gateway({ AUTH_MODE: 'jwt', JWT_SECRET: secret, MAX_CONNECTIONS_PER_SUBJECT: 2, MAX_TOPICS: 3 }),
  ])
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(async () => {
  // Whatever was thrown at them, they are up.
  for (const gateway of [small, byToken]) expect(await gateway?.isReady()).toBe(true)
  await lab?.stop()
})

const elsewhere = { accept: 'text/event-stream', 'x-retry-elsewhere': 'yes' }
const open = (gateway: Service) => gateway.metric('sse_connections{state="live"}')

test('a pod that is full sends clients away for a moment, and takes them when there is room', async () => {
  const clients = await Promise.all(Array.from({ length: 5 }, () => lab.liveClient(small, ['a'])))
  const one = await lab.client(small, { topics: ['a'] })
  await one.untilClosed()
  expect([one.status, one.body]).toEqual([200, expect.stringMatching(/^retry: \d+\n\n$/)])
  const answer = await fetch(`${small.url}/v1/events?topic=a`, { headers: elsewhere })
  expect(answer.status).toBe(503)
  expect(await answer.json()).toMatchObject({ type: 'urn:sse-cluster:problem:unavailable' })
  expect(await small.metric('sse_connects_refused_total{reason="unavailable"}')).toBe(2)
  clients[0]?.close()
  await waitUntil(async () => (await open(small)) === 4, { what: 'the pod to notice that a client has gone' })
  await one.connect(small.url)
  await one.untilFirstBlock()
})

test('a subject has its own limit, and others are not touched by it', async () => {
  const of = async (subject: string) => ({
    authorization: `Bearer ${await signToken(secret, { subject, subscribe: ['>'] })}`,
  })
  const headers = await of('greedy')
  const clients = await Promise.all([1, 2].map(() => lab.client(byToken, { topics: ['a'], headers })))
  await Promise.all(clients.map((client) => client.untilFirstBlock()))
  const third = await lab.client(byToken, { topics: ['a'], headers })
  await third.untilClosed()
  expect([third.status, third.body]).toEqual([200, expect.stringMatching(/^retry: \d+\n\n$/)])
  const answer = await fetch(`${byToken.url}/v1/events?topic=a`, { headers })
  expect(answer.status).toBe(429)
  expect(answer.headers.get('retry-after')).toBe('1')
  expect(await answer.json()).toMatchObject({
    type: 'urn:sse-cluster:problem:too-many-requests',
    detail: expect.stringContaining('2 streams'),
  })
  const other = await lab.client(byToken, { topics: ['a'], headers: await of('modest') })
  await other.untilFirstBlock()
  clients[0]?.close()
  await waitUntil(async () => (await open(byToken)) === 2, { what: 'the pod to notice' })
  await third.connect(byToken.url)
  await third.untilFirstBlock()
})

test('tokens without a subject share one limit, so that leaving it out gets around none', async () => {
  const of = (n: number) => ({
    authorization: `Bearer ${oddToken({ jti: String(n), sse: { subscribe: ['>'] } })}`,
  })
  const clients = await Promise.all([1, 2].map((n) => lab.client(byToken, { topics: ['a'], headers: of(n) })))
  await Promise.all(clients.map((client) => client.untilFirstBlock()))
  const answer = await fetch(`${byToken.url}/v1/events?topic=a`, { headers: of(3) })
  expect(answer.status).toBe(429)
  expect((await answer.json()).detail).toContain('(no sub)')
})

test('topics per stream are limited, 64 unless set', async () => {
  const ask = (gateway: Service, count: number, headers = {}) =>
    fetch(`${gateway.url}/v1/events?${'topic=t&'.repeat(count)}`, { headers })
  const headers = { authorization: `Bearer ${await signToken(secret, { subscribe: ['>'] })}` }
  const answer = await ask(byToken, 4, headers)
  expect(answer.status).toBe(400)
  expect(await answer.json()).toMatchObject({
    type: 'urn:sse-cluster:problem:too-many-topics',
    detail: expect.stringMatching(/^4 topics, 3 are allowed/),
  })
  expect((await ask(small, 65)).status).toBe(400)
  const allowed = await ask(small, 64)
  expect(allowed.status).toBe(200)
  await allowed.body?.cancel()
})

test('an address that is too long gets 414', async () => {
  const answer = await fetch(`${small.url}/v1/events?topic=${'a'.repeat(1_100)}`)
  expect(answer.status).toBe(414)
  expect(await answer.json()).toMatchObject({
    type: 'urn:sse-cluster:problem:uri-too-long',
    detail: expect.stringContaining('1024 are allowed'),
  })
})

test('1 MB of headers gets 431', async () => {
  const answer = await rawRequest(small.port, (socket) =>
    socket.write(`GET /v1/events?topic=a HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(1_000_000)}\r\n\r\n`),
  )
  expect(answer).toMatch(/^HTTP\/1.1 431 /)
  expect(answer).toContain('urn:sse-cluster:problem:headers-too-large')
})

test('many small headers get 431 too', async () => {
  const many = Array.from({ length: 20_000 }, (_, n) => `X-${n}: ${n}\r\n`).join('')
  const answer = await rawRequest(small.port, (socket) =>
    socket.write(`GET /v1/events?topic=a HTTP/1.1\r\nHost: x\r\n${many}\r\n`),
  )
  expect(answer).toMatch(/^HTTP\/1.1 431 /)
})

test('headers that drip in get 408', async () => {
  let timer: NodeJS.Timeout | undefined
  const answer = await rawRequest(small.port, (socket) => {
    socket.write('GET /v1/events?topic=a HTTP/1.1\r\nHost: x\r\n')
    timer = setInterval(() => socket.write('X-Drip: 1\r\n'), 100)
  })
  clearInterval(timer)
  expect(answer).toMatch(/^HTTP\/1.1 408 /)
  expect(answer).toContain('urn:sse-cluster:problem:request-timeout')
})
