import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type NatsServer, startNatsServer } from '../support/nats-server.ts'
import { type PostOptions, post } from '../support/publish.ts'
import { type Service, startService } from '../support/service.ts'
import { secret, signToken, type TokenOptions } from '../support/tokens.ts'
import { waitUntil } from '../support/wait.ts'

let nats: NatsServer
let publisher: Service

beforeAll(async () => {
  nats = await startNatsServer()
  publisher = await startService('publisher', {
    NATS_URL: nats.url,
    AUTH_MODE: 'jwt',
    JWT_SECRET: secret,
    LOG_LEVEL: 'trace',
    CORS_ORIGINS: 'https://app.example.com',
  })
})

afterAll(async () => {
  await publisher?.term()
  await nats?.stop()
})

const send = (body: Parameters<typeof post>[1], options?: PostOptions) => post(publisher.url, body, options)
const orders = { publish: ['orders.*', 'news.>'] }
const event = { topic: 'orders.42', data: 1 }
const bearer = async (options: TokenOptions) => ({
  headers: { authorization: `Bearer ${await signToken(secret, options)}` },
})

describe('a token in', () => {
  test('the Authorization header is taken', async () => {
    expect((await send(event, await bearer(orders))).status).toBe(201)
    expect((await send(event, await bearer({ claims: { sse: {}, 'sse.publish': ['>'] } }))).status).toBe(201)
  })

  test('the query is taken', async () => {
    expect((await send(event, { query: `?access_token=${await signToken(secret, orders)}` })).status).toBe(
      201,
    )
  })

  test.each([
    ['of an allowed origin', 'https://app.example.com', 201],
    ['of the same host', 'same', 201],
    ['of a foreign page', 'https://evil.example', 403],
    ['of no page', undefined, 403],
    ['of a sandboxed page', 'null', 403],
  ])('the cookie %s', async (_name, given, status) => {
    const origin = given === 'same' ? publisher.url : given
    const headers = {
      cookie: `x=1; sse_token=${await signToken(secret, orders)}`,
      ...(origin ? { origin } : {}),
    }
    const answer = await send(event, { headers })
    expect(answer.status).toBe(status)
    if (status === 403) expect(answer.json.type).toBe('urn:sse-cluster:problem:forbidden')
  })
})

describe('refuses with 401', () => {
  test.each<[string, () => Promise<PostOptions>]>([
    ['no token', async () => ({})],
    ['no token at all', async () => ({ headers: { authorization: 'Basic eDp5' } })],
    ['a broken token', async () => ({ headers: { authorization: 'Bearer a.b.c' } })],
    ['an expired token', async () => await bearer({ ...orders, expiresIn: -1 })],
    [
      'a token of another issuer',
      async () => {
        const { headers } = await bearer(orders)
        return { headers: { authorization: `${headers.authorization.slice(0, -4)}AAAA` } }
      },
    ],
    ['a claim that is no list', async () => await bearer({ publish: 'orders.*' })],
  ])('%s', async (_name, options) => {
    const answer = await send(event, await options())
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(answer.json.type).toBe('urn:sse-cluster:problem:unauthenticated')
  })

  test('before it reads the body', async () => {
    const answer = await send('x'.repeat(5_000_000), { headers: { 'content-type': 'text/plain' } })
    expect(answer.status).toBe(401)
  })
})

describe('grants', () => {
  test.each([
    ['a topic that no pattern covers', 'payments.1', orders],
    ['a longer topic than the pattern', 'orders.42.paid', orders],
    ['a token that may only subscribe', 'orders.42', { subscribe: ['>'] }],
  ])('%s gets 403', async (_name, topic, claims) => {
    const answer = await send({ topic, data: 1 }, await bearer(claims))
    expect(answer.status).toBe(403)
    expect(answer.json).toMatchObject({ topic, detail: expect.stringContaining('sse.publish') })
  })

  test('hold for each line of a batch, and for an atomic batch as a whole', async () => {
    const batch = [event, { topic: 'payments.1', data: 1 }, { topic: 'news.tech.ai', data: 1 }]
    const { lines } = await send(batch, await bearer(orders))
    expect(lines).toMatchObject([
      { duplicate: false },
      { error: { status: 403, line: 2 } },
      { duplicate: false },
    ])
    const whole = await send(batch, { ...(await bearer(orders)), query: '?atomic=true' })
    expect(whole.status).toBe(403)
    expect(whole.json.line).toBe(2)
  })
})

test('the log names subject, topic and status, and never a token', async () => {
  const secrets = [
    await signToken(secret, { ...orders, subject: 'tester' }),
    await signToken(secret, { claims: { note: 'no grants' } }),
    await signToken(secret, { ...orders, expiresIn: -20 }),
  ]
  await send(event, { query: `?access_token=${secrets[0]}` })
  await send(event, { headers: { authorization: `Bearer ${secrets[1]}` } })
  await send(event, { headers: { cookie: `sse_token=${secrets[2]}`, origin: publisher.url } })
  await send(undefined, { method: 'GET', path: '/nowhere', query: `?access_token=${secrets[0]}` })
  await waitUntil(() => publisher.logLines().some((line) => line.path === '/nowhere'), { what: 'the log' })
  expect(publisher.logLines()).toContainEqual(
    expect.objectContaining({
      subject: 'tester',
      topic: 'orders.42',
      status: 201,
      request: expect.any(String),
    }),
  )
  for (const token of secrets) expect(publisher.output()).not.toContain(token.split('.')[2])
  expect(publisher.output()).not.toContain('access_token')
})

test('without authentication the log says so', async () => {
  const open = await startService('publisher', { NATS_URL: nats.url, AUTH_MODE: 'off' })
  expect(open.output()).toContain('AUTH_MODE=off')
  await open.term()
})

test.each([
  [{ AUTH_MODE: 'jwt' }, 'JWT_SECRET'],
  [{ AUTH_MODE: 'jwt', JWT_SECRET: 'short' }, 'JWT_SECRET'],
  [{ AUTH_MODE: 'none' }, 'AUTH_MODE'],
  [{ MAX_EVENT_BYTES: 'many' }, 'MAX_EVENT_BYTES'],
  [{ CORS_ORIGINS: 'app.example.com' }, 'CORS_ORIGINS'],
  [{ HEADERS_TIMEOUT_MS: 60_000 }, 'REQUEST_TIMEOUT_MS'],
])('a bad setting stops the start and is named: %j', async (settings, name) => {
  const failed = await startService('publisher', { NATS_URL: nats.url, ...settings }, { ready: false })
  expect(await failed.exited).toBe(1)
  expect(failed.output()).toContain(name)
})
