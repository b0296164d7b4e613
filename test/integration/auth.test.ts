import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'
import { type KeyPair, newKeyPair, secret, serveKeySet, signToken, unsignedToken } from '../support/tokens.ts'

let lab: Lab
let bySecret: Service
let byPem: Service
let writer: LogWriter
let keys: KeyPair
let strangers: KeyPair

const jwt = { AUTH_MODE: 'jwt', LOG_LEVEL: 'debug' }

beforeAll(async () => {
  lab = await Lab.start()
  keys = await newKeyPair('first')
  strangers = await newKeyPair('second')
  ;[bySecret, byPem] = await Promise.all([
    lab.gateway({ ...jwt, JWT_SECRET: secret }),
    lab.gateway({
      ...jwt,
      JWT_PUBLIC_KEY: keys.publicPem,
      JWT_ISSUER: 'https://issuer',
      JWT_AUDIENCE: 'events',
    }),
  ])
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const sent: string[] = []
function bearer(token: string): Record<string, string> {
  sent.push(token)
  return { authorization: `Bearer ${token}` }
}
async function ask(
  gateway: Service,
  topics: string[],
  headers: Record<string, string> = {},
): Promise<Response> {
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]))
  const aborter = new AbortController()
  const answer = await fetch(`${gateway.url}/v1/events?${query}`, {
    headers: { accept: 'text/event-stream', ...headers },
    signal: aborter.signal,
  })
  if (answer.status === 200) setTimeout(() => aborter.abort(), 200)
  return answer
}
async function refused(answer: Response, status: number, name: string, detail: RegExp): Promise<void> {
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toContain('application/problem+json')
  expect(await answer.json()).toMatchObject({
    type: `urn:sse-cluster:problem:${name}`,
    status,
    detail: expect.stringMatching(detail),
  })
}
const granted = ['news.>', 'orders.42', 'team.*.public']

describe('a token', () => {
  test('that is missing is refused, and the answer says how to send one', async () => {
    const answer = await ask(bySecret, ['news.a'])
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    await refused(answer, 401, 'unauthenticated', /Authorization: Bearer.*sse_token.*access_token/)
  })

  const now = Math.floor(Date.now() / 1000)
  test.each<[string, () => Promise<string> | string, RegExp]>([
    ['is no token', () => 'nonsense', /not valid/],
    ['has expired', () => signToken(secret, { subscribe: granted, expiresIn: -5 }), /expired/],
    ['never expires', () => signToken(secret, { subscribe: granted, expiresIn: null }), /exp/],
    [
      'is not valid yet',
      () => signToken(secret, { subscribe: granted, claims: { nbf: now + 600 } }),
      /will be active/,
    ],
    [
      'is signed with another secret',
      () => signToken(`other-${secret}`, { subscribe: granted }),
      /signature/,
    ],
    ['is signed with a private key', () => signToken(keys.privateKey, { subscribe: granted }), /alg/],
    ['says alg none', () => unsignedToken(granted), /not valid/],
    ['has grants that are no list', () => signToken(secret, { subscribe: '>' }), /sse\.subscribe/],
    [
      'has grants that are no patterns',
      () => signToken(secret, { subscribe: ['news..a'] }),
      /sse\.subscribe/,
    ],
  ])('that %s is refused', async (_name, token, detail) => {
    await refused(await ask(bySecret, ['news.a'], bearer(await token())), 401, 'unauthenticated', detail)
  })

  test.each<[string, () => Promise<string>, RegExp]>([
    [
      'of another key',
      () => signToken(strangers.privateKey, { subscribe: granted, claims: right }),
      /signature/,
    ],
    [
      'that uses the public key as a shared secret',
      () => signToken(keys.publicPem, { subscribe: granted, claims: right }),
      /alg/,
    ],
    [
      'of another issuer',
      () => signToken(keys.privateKey, { subscribe: granted, claims: { ...right, iss: 'x' } }),
      /iss/,
    ],
    [
      'for another audience',
      () => signToken(keys.privateKey, { subscribe: granted, claims: { ...right, aud: 'x' } }),
      /aud/,
    ],
  ])('%s is refused where a public key is set', async (_name, token, detail) => {
    await refused(await ask(byPem, ['news.a'], bearer(await token())), 401, 'unauthenticated', detail)
  })
  const right = { iss: 'https://issuer', aud: 'events' }

  test('of the right key, issuer and audience is taken where a public key is set', async () => {
    const token = await signToken(keys.privateKey, { subscribe: granted, claims: right })
    expect((await ask(byPem, ['news.a'], bearer(token))).status).toBe(200)
  })

  test('may come in the header, the cookie or the query; with either name of the claims', async () => {
    const token = await signToken(secret, { claims: { 'sse.subscribe': granted } })
    sent.push(token)
    expect((await ask(bySecret, ['news.a'], { cookie: `a=b; sse_token=${token}; c=d` })).status).toBe(200)
    expect((await ask(bySecret, ['news.a'], bearer(token))).status).toBe(200)
    const client = await lab.client(bySecret, { topics: ['news.a'], query: { access_token: token } })
    await client.untilFirstBlock()
    expect(client.status).toBe(200)
  })
})

describe('grants', () => {
  test.each([
    [['news.a']],
    [['news.>']],
    [['news.*', 'news.a.b.c']],
    [['orders.42']],
    [['team.7.public', 'team.*.public']],
  ])('cover %j', async (topics) => {
    const token = await signToken(secret, { subscribe: granted })
    expect((await ask(bySecret, topics, bearer(token))).status).toBe(200)
  })

  test.each([
    [['news'], 'news'],
    [['>'], '>'],
    [['orders.*'], 'orders.*'],
    [['orders.42.more'], 'orders.42.more'],
    [['news.a', 'orders.43'], 'orders.43'],
    [['team.>'], 'team.>'],
    [['*.a'], '*.a'],
    [['team.7.private'], 'team.7.private'],
  ])('do not cover %j', async (topics, topic) => {
    const token = await signToken(secret, { subscribe: granted })
    const answer = await ask(bySecret, topics, bearer(token))
    const { topic: named } = (await answer.clone().json()) as { topic: string }
    expect(named).toBe(topic)
    await refused(answer, 403, 'forbidden', /sse\.subscribe does not cover/)
  })

  test('to publish are none to subscribe, and no grants are none', async () => {
    for (const claims of [{ publish: ['>'] }, {}])
      expect((await ask(bySecret, ['news.a'], bearer(await signToken(secret, claims)))).status).toBe(403)
  })

  test('filter a replay like live events', async () => {
    const headers = bearer(await signToken(secret, { subscribe: granted }))
    const live = await lab.client(bySecret, { topics: ['news.*', 'orders.42'], headers })
    await live.untilFirstBlock()
    await writer.numbered(40, ['news.a', 'orders.42', 'orders.43', 'secret.b'])
    const replayed = await lab.client(bySecret, {
      topics: ['news.*', 'orders.42'],
      headers,
      query: { since: 'all' },
    })
    await replayed.untilLive()
    await live.untilCount(20)
    for (const client of [live, replayed])
      expect(new Set(client.events.map(({ topic }) => topic))).toEqual(new Set(['news.a', 'orders.42']))
    expect(replayed.sequences).toEqual(live.sequences)
  })
})

test('a stream ends with $closing token-expired when its token does', async () => {
  const headers = bearer(await signToken(secret, { subscribe: granted, expiresIn: 2 }))
  const client = await lab.client(bySecret, { topics: ['news.a'], headers })
  expect((await client.untilControl('$closing')).data).toEqual({ reason: 'token-expired' })
  await client.untilClosed()
  await refused(await ask(bySecret, ['news.a'], headers), 401, 'unauthenticated', /expired/)
})

describe('an issuer’s key set', () => {
  test('is fetched, and a key that turns up in it later is found; while it is down that is a passing condition', async () => {
    let answer = { status: 500, body: 'down' }
    const server = await serveKeySet(() => answer)
    const gateway = await lab.gateway({ ...jwt, JWT_JWKS_URL: server.url })
    const headers = bearer(await signToken(keys.privateKey, { subscribe: granted, keyId: 'first' }))
    const passing = async () => {
      const native = await ask(gateway, ['news.a'], headers)
      expect(native.status).toBe(200)
      expect(await native.text()).toMatch(/^retry: \d+\n\n$/)
      const other = await ask(gateway, ['news.a'], { ...headers, 'x-retry-elsewhere': 'yes' })
      expect(other.headers.get('retry-after')).toBe('1')
      await refused(other, 503, 'unavailable', /keys can’t be fetched/)
    }
    await passing()
    answer = { status: 200, body: 'not JSON' }
    await passing()
    answer = { status: 200, body: '{"keys":"none"}' }
    await passing()
    answer = { status: 200, body: JSON.stringify({ keys: [keys.jwk] }) }
    const client = await lab.client(gateway, { topics: ['news.a'], headers })
    await client.untilFirstBlock()
    const stranger = await signToken(strangers.privateKey, { subscribe: granted, keyId: 'second' })
    await refused(await ask(gateway, ['news.a'], bearer(stranger)), 401, 'unauthenticated', /not valid/)
    const forged = await signToken(strangers.privateKey, { subscribe: granted, keyId: 'first' })
    await refused(await ask(gateway, ['news.a'], bearer(forged)), 401, 'unauthenticated', /signature/)
    // Down again: whoever was known still comes in.
    await server.close()
    expect((await ask(gateway, ['news.a'], headers)).status).toBe(200)
    await gateway.kill()
  })

  test('that can’t be reached at all is a passing condition', async () => {
    const server = await serveKeySet(() => ({ status: 200, body: '' }))
    await server.close()
    const gateway = await lab.gateway({ ...jwt, JWT_JWKS_URL: server.url })
    const headers = bearer(await signToken(keys.privateKey, { subscribe: granted }))
    expect(await (await ask(gateway, ['news.a'], headers)).text()).toMatch(/^retry: \d+\n\n$/)
    await gateway.kill()
  })
})

test('secret and public key may be files', async () => {
  const [secretFile, keyFile] = [join(lab.nats.storeDir, '../secret'), join(lab.nats.storeDir, '../key.pem')]
  await Promise.all([writeFile(secretFile, `${secret}\n`), writeFile(keyFile, keys.publicPem)])
  const [one, two] = await Promise.all([
    lab.gateway({ ...jwt, JWT_SECRET: secretFile }),
    lab.gateway({ ...jwt, JWT_PUBLIC_KEY: keyFile }),
  ])
  expect((await ask(one, ['news.a'], bearer(await signToken(secret, { subscribe: granted })))).status).toBe(
    200,
  )
  expect(
    (await ask(two, ['news.a'], bearer(await signToken(keys.privateKey, { subscribe: granted })))).status,
  ).toBe(200)
  await Promise.all([one.kill(), two.kill()])
})

test.each([
  ['no key', {}, /exactly one of JWT_JWKS_URL, JWT_PUBLIC_KEY and JWT_SECRET/],
  ['two keys', { JWT_SECRET: secret, JWT_JWKS_URL: 'http://127.0.0.1/' }, /exactly one/],
  ['a short secret', { JWT_SECRET: 'short' }, /JWT_SECRET: at least 32 bytes/],
  ['no PEM', { JWT_PUBLIC_KEY: 'rubbish' }, /JWT_PUBLIC_KEY/],
  ['no mode', { AUTH_MODE: 'maybe' }, /AUTH_MODE: .*maybe/],
])('a gateway with %s does not start, and says why', async (_name, env, message) => {
  const gateway = await lab.gateway({ AUTH_MODE: 'jwt', ...env }, { ready: false })
  expect(await gateway.exited).toBe(1)
  expect(gateway.output()).toMatch(message)
  expect(gateway.output()).not.toContain(secret)
})

test('running without authentication is said in the log', async () => {
  const gateway = await lab.gateway()
  expect(gateway.output()).toMatch(/AUTH_MODE=off: everybody may read everything/)
  await gateway.kill()
})

test('no token is ever in a log', () => {
  const logs = bySecret.output() + byPem.output()
  expect(logs).toContain('stream ended')
  expect(sent.length).toBeGreaterThan(20)
  for (const token of sent.filter((token) => token !== 'nonsense')) {
    expect(logs).not.toContain(token)
    expect(logs).not.toContain(token.split('.')[2] || token)
  }
  expect(logs).not.toContain(secret)
})
