import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { SettingsError } from '../../services/common/settings.ts'
import { everything, findToken, noSubject, requireGrant, TokenVerifier } from '../../services/common/token.ts'
import {
  type KeyPair,
  newKeyPair,
  oddToken,
  secret,
  serveKeySet,
  signToken,
  unsignedToken,
} from '../support/tokens.ts'

const off = {
  AUTH_MODE: 'off',
  JWT_JWKS_URL: '',
  JWT_PUBLIC_KEY: '',
  JWT_SECRET: '',
  JWT_ISSUER: '',
  JWT_AUDIENCE: '',
} as const
const withSecret = { ...off, AUTH_MODE: 'jwt', JWT_SECRET: secret } as const

function grants(verifier: TokenVerifier, token: string) {
  return verifier.verify({ headers: { authorization: `Bearer ${token}` }, queryToken: undefined })
}

function refused(detail: RegExp) {
  return { problem: 'unauthenticated', status: 401, message: expect.stringMatching(detail) as string }
}

afterEach(() => void vi.useRealTimers())

describe('where the token is looked for', () => {
  const all = {
    headers: { authorization: 'Bearer one', cookie: 'a=b; sse_token=two; c=d' },
    queryToken: 'three',
  }

  test('the header comes before the cookie, and the cookie before the query', () => {
    expect(findToken(all)).toBe('one')
    expect(findToken({ ...all, headers: { cookie: all.headers.cookie } })).toBe('two')
    expect(findToken({ ...all, headers: {} })).toBe('three')
    expect(findToken({ headers: {}, queryToken: undefined })).toBeUndefined()
    expect(findToken({ headers: {}, queryToken: '' })).toBeUndefined()
  })

  test('another scheme, and cookies of similar names, are passed over', () => {
    expect(findToken({ ...all, headers: { authorization: 'Basic abc', cookie: 'sse_token=two' } })).toBe(
      'two',
    )
    expect(
      findToken({ headers: { cookie: 'xsse_token=no; sse_token2=no' }, queryToken: undefined }),
    ).toBeUndefined()
    expect(findToken({ headers: { authorization: 'bearer  one' }, queryToken: undefined })).toBe('one')
  })
})

describe('which settings are accepted', () => {
  test('without authentication everybody may do everything, asked for no token', async () => {
    const verifier = TokenVerifier.create(off)
    expect(verifier.open).toBe(true)
    expect(await verifier.verify({ headers: {}, queryToken: undefined })).toBe(everything)
  })

  test('jwt needs exactly one source of keys', () => {
    expect(() => TokenVerifier.create({ ...off, AUTH_MODE: 'jwt' })).toThrow(SettingsError)
    expect(() => TokenVerifier.create({ ...withSecret, JWT_PUBLIC_KEY: 'x' })).toThrow(
      /exactly one of JWT_JWKS_URL/,
    )
  })

  test('a short secret and a broken key are named', () => {
    expect(() => TokenVerifier.create({ ...withSecret, JWT_SECRET: 'short' })).toThrow(
      /JWT_SECRET: at least 32 bytes/,
    )
    const broken = { ...off, AUTH_MODE: 'jwt', JWT_PUBLIC_KEY: 'no key' } as const
    expect(() => TokenVerifier.create(broken)).toThrow(/JWT_PUBLIC_KEY/)
  })
})

describe('with a shared secret', () => {
  const verifier = TokenVerifier.create(withSecret)

  test('a good token grants what its claims say', async () => {
    const token = await signToken(secret, {
      subject: 'ann',
      subscribe: ['a.>'],
      publish: ['b'],
      expiresIn: 60,
    })
    expect(await grants(verifier, token)).toEqual({
      subject: 'ann',
      subscribe: ['a.>'],
      publish: ['b'],
      expiresAt: expect.any(Number) as number,
    })
    const { expiresAt } = await grants(verifier, token)
    expect(expiresAt).toBeGreaterThan(Date.now() + 50_000)
    expect(expiresAt).toBeLessThan(Date.now() + 61_000)
  })

  test('claims may be flat, and one that is missing grants nothing', async () => {
    const claims = { sse: undefined, 'sse.subscribe': ['>'] }
    expect(await grants(verifier, await signToken(secret, { claims }))).toMatchObject({
      subscribe: ['>'],
      publish: [],
    })
  })

  test.each([['a.>'], [['a..b']], [[7]], [{ a: 1 }]])(
    'claims that are no list of patterns (%j) are refused',
    async (subscribe) => {
      await expect(grants(verifier, await signToken(secret, { subscribe }))).rejects.toMatchObject(
        refused(/sse.subscribe/),
      )
    },
  )

  test('a subject that is no string is refused: no limit could be kept for it', async () => {
    await expect(grants(verifier, oddToken({ sub: 7 }))).rejects.toMatchObject(refused(/claim sub/))
    await expect(grants(verifier, oddToken({ exp: 'never' }))).rejects.toMatchObject(refused(/exp claim/))
  })

  test('tokens that name no subject are one subject together', async () => {
    for (const claims of [{}, { sub: '' }])
      expect(await grants(verifier, oddToken({ ...claims, sse: { subscribe: ['a'] } }))).toMatchObject({
        subject: noSubject,
      })
  })

  test('no token, a malformed and a badly signed one are refused', async () => {
    await expect(verifier.verify({ headers: {}, queryToken: undefined })).rejects.toMatchObject(
      refused(/No token/),
    )
    await expect(grants(verifier, 'x.y.z')).rejects.toMatchObject(refused(/not valid/))
    const stranger = await signToken('another-secret-of-more-than-32-bytes-0', { subscribe: ['>'] })
    await expect(grants(verifier, stranger)).rejects.toMatchObject(refused(/signature/))
    await expect(grants(verifier, unsignedToken(['>']))).rejects.toMatchObject(refused(/not valid/))
  })

  test('a token that has expired, or never would, is refused', async () => {
    await expect(grants(verifier, await signToken(secret, { expiresIn: -1 }))).rejects.toMatchObject(
      refused(/expired/),
    )
    await expect(grants(verifier, await signToken(secret, { expiresIn: null }))).rejects.toMatchObject(
      refused(/exp claim/),
    )
  })

  test('a token that was good is refused once it has expired, though it was remembered', async () => {
    const token = await signToken(secret, { subscribe: ['a'], expiresIn: 60 })
    await grants(verifier, token)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
    await expect(grants(verifier, token)).rejects.toMatchObject(refused(/expired/))
  })

  test('issuer and audience are checked when they are set', async () => {
    const strict = TokenVerifier.create({ ...withSecret, JWT_ISSUER: 'us', JWT_AUDIENCE: 'sse' })
    await grants(strict, await signToken(secret, { claims: { iss: 'us', aud: ['sse', 'x'] } }))
    for (const claims of [
      { iss: 'us' },
      { aud: 'sse' },
      { iss: 'them', aud: 'sse' },
      { iss: 'us', aud: 'x' },
    ])
      await expect(grants(strict, await signToken(secret, { claims }))).rejects.toMatchObject(
        refused(/iss|aud/),
      )
  })

  test('the secret may stand in a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sse-token-'))
    writeFileSync(join(folder, 'secret'), `${secret}\n`)
    const fromFile = TokenVerifier.create({ ...withSecret, JWT_SECRET: join(folder, 'secret') })
    expect(await grants(fromFile, await signToken(secret, { subject: 'ann' }))).toMatchObject({
      subject: 'ann',
    })
    rmSync(folder, { recursive: true })
  })
})

describe('with a public key', () => {
  let pair: KeyPair
  let verifier: TokenVerifier

  beforeAll(async () => {
    pair = await newKeyPair('one')
    verifier = TokenVerifier.create({ ...off, AUTH_MODE: 'jwt', JWT_PUBLIC_KEY: pair.publicPem })
  })

  test('a good token is accepted, also when the PEM came with \\n in one line', async () => {
    const token = await signToken(pair.privateKey, { subscribe: ['>'] })
    expect(await grants(verifier, token)).toMatchObject({ subscribe: ['>'] })
    const oneLine = {
      ...off,
      AUTH_MODE: 'jwt',
      JWT_PUBLIC_KEY: pair.publicPem.replaceAll('\n', '\\n'),
    } as const
    expect(await grants(TokenVerifier.create(oneLine), token)).toMatchObject({ subscribe: ['>'] })
  })

  test('a token signed with the public key as if it were a secret is refused', async () => {
    for (const key of [pair.publicPem, pair.publicPem.trim()]) {
      const token = await new SignJWT({ sse: { subscribe: ['>'] } })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('5m')
        .sign(new TextEncoder().encode(key))
      await expect(grants(verifier, token)).rejects.toMatchObject(refused(/not valid/))
    }
    await expect(grants(verifier, unsignedToken(['>']))).rejects.toMatchObject(refused(/not valid/))
  })

  test('a token of another kind of key is refused for good, not put off', async () => {
    const others: [KeyObject, string][] = [
      [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'RS256'],
      [generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, 'ES384'],
      [generateKeyPairSync('ed25519').privateKey, 'EdDSA'],
      [(await newKeyPair('two')).privateKey, 'ES256'],
    ]
    for (const [key, algorithm] of others) {
      const token = await signToken(key, { subscribe: ['>'], algorithm })
      await expect(grants(verifier, token)).rejects.toMatchObject(refused(/not valid/))
    }
  })
})

describe('with the issuer’s key set', () => {
  let pair: KeyPair
  let answer: { status: number; body: string }
  let keySet: Awaited<ReturnType<typeof serveKeySet>>
  const fresh = () => TokenVerifier.create({ ...off, AUTH_MODE: 'jwt', JWT_JWKS_URL: keySet.url })

  beforeAll(async () => {
    pair = await newKeyPair('one')
    keySet = await serveKeySet(() => answer)
  })
  afterAll(() => keySet.close())

  test('a token of one of its keys is accepted, and a second look at it costs no request', async () => {
    answer = { status: 200, body: JSON.stringify({ keys: [(await newKeyPair('zero')).jwk, pair.jwk] }) }
    const verifier = fresh()
    const token = await signToken(pair.privateKey, { subscribe: ['a'], keyId: 'one' })
    const before = keySet.requests()
    expect(await grants(verifier, token)).toBe(await grants(verifier, token))
    expect(keySet.requests()).toBe(before + 1)
  })

  test('a token of no key of the set, or of another algorithm, is refused', async () => {
    answer = { status: 200, body: JSON.stringify({ keys: [pair.jwk] }) }
    const stranger = await newKeyPair('other')
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const verifier = fresh()
    for (const token of [
      await signToken(stranger.privateKey, { keyId: 'other' }),
      await signToken(stranger.privateKey, { keyId: 'one' }),
      await signToken(rsa, { keyId: 'one', algorithm: 'RS256' }),
      await signToken(JSON.stringify(pair.jwk)),
      unsignedToken(['>']),
    ])
      await expect(grants(verifier, token)).rejects.toMatchObject(refused(/not valid/))
  })

  test.each([
    { status: 500, body: '' },
    { status: 200, body: 'no JSON' },
    { status: 200, body: '{"keys":7}' },
  ])('while the key set is unusable (%j), nobody is told that a token is bad', async (bad) => {
    answer = bad
    const token = await signToken(pair.privateKey, { keyId: 'one' })
    await expect(grants(fresh(), token)).rejects.toMatchObject({ problem: 'unavailable', status: 503 })
  })

  test('while nobody answers, nobody is told that a token is bad', async () => {
    const away = TokenVerifier.create({ ...off, AUTH_MODE: 'jwt', JWT_JWKS_URL: 'http://127.0.0.1:9/keys' })
    const token = await signToken(pair.privateKey, { keyId: 'one' })
    await expect(grants(away, token)).rejects.toMatchObject({ problem: 'unavailable' })
  })
})

test('every wanted topic must be covered by a granted pattern', () => {
  requireGrant(['a.>', 'b'], ['a.x', 'a.*', 'a.x.>', 'b'], 'sse.subscribe')
  for (const wanted of ['a', 'c', '>', '*', 'b.x'])
    expect(() => requireGrant(['a.>', 'b'], ['a.x', wanted], 'sse.subscribe')).toThrow(`"${wanted}"`)
  expect(() => requireGrant([], ['a'], 'sse.publish')).toThrow(/sse.publish/)
})
