import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { exportJWK, type JWK, type JWTPayload, SignJWT } from 'jose'
import { freePort } from './ports.ts'

export const secret = 'a-shared-secret-of-the-tests-0123456789'

export interface TokenOptions {
  subject?: string
  subscribe?: unknown
  publish?: unknown
  /** Seconds from now; null leaves `exp` out. */
  expiresIn?: number | null
  claims?: JWTPayload
  algorithm?: string
  keyId?: string
}

/** Signs a token with `key`: the shared secret, or a private key. */
export async function signToken(key: string | KeyObject, options: TokenOptions = {}): Promise<string> {
  const {
    subscribe,
    publish,
    expiresIn = 300,
    algorithm = typeof key === 'string' ? 'HS256' : 'ES256',
  } = options
  const token = new SignJWT({ sse: { subscribe, publish }, ...options.claims })
    .setProtectedHeader({ alg: algorithm, ...(options.keyId ? { kid: options.keyId } : {}) })
    .setSubject(options.subject ?? 'somebody')
  if (expiresIn !== null) token.setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn)
  return await token.sign(typeof key === 'string' ? new TextEncoder().encode(key) : key)
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token of the shared secret with claims that no library would sign. */
export function oddToken(claims: Record<string, unknown>): string {
  const exp = Math.floor(Date.now() / 1000) + 300
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp, ...claims })}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** A token that claims to need no signature. */
export function unsignedToken(subscribe: string[]): string {
  const exp = Math.floor(Date.now() / 1000) + 300
  return `${part({ alg: 'none', typ: 'JWT' })}.${part({ sub: 'somebody', exp, sse: { subscribe } })}.`
}

export interface KeyPair {
  privateKey: KeyObject
  publicPem: string
  jwk: JWK
}

export async function newKeyPair(keyId: string): Promise<KeyPair> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...(await exportJWK(publicKey)), kid: keyId, alg: 'ES256', use: 'sig' }
  return { privateKey, publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(), jwk }
}

/** An issuer's key set, served; `answer` says with which status and body. */
export async function serveKeySet(
  answer: () => { status: number; body: string },
): Promise<{ url: string; requests: () => number; close: () => Promise<void> }> {
  const port = await freePort()
  let requests = 0
  const server: Server = createServer((_, response) => {
    requests++
    const { status, body } = answer()
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${port}/keys`,
    requests: () => requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
