import { createPublicKey, type KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import {
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import { covers, isTopicPattern } from '../contract/topic.ts'
import { Problem } from './problem.ts'
import { SettingsError } from './settings.ts'

/**
 * Who is asking, and what they may do. From a JWT's claims `sub`, `exp` and `sse: {subscribe, publish}` (or
 * `"sse.subscribe"`, `"sse.publish"`), lists of topic patterns.
 */
export interface Grants {
  subject: string
  subscribe: readonly string[]
  publish: readonly string[]
  /** Milliseconds since 1970; Infinity without authentication. */
  expiresAt: number
}

export const everything: Grants = {
  subject: '',
  subscribe: ['>'],
  publish: ['>'],
  expiresAt: Number.POSITIVE_INFINITY,
}

export interface TokenSettings {
  AUTH_MODE: 'jwt' | 'off'
  JWT_JWKS_URL: string
  JWT_PUBLIC_KEY: string
  JWT_SECRET: string
  JWT_ISSUER: string
  JWT_AUDIENCE: string
}

export interface TokenSource {
  headers: { authorization?: string | undefined; cookie?: string | undefined }
  /** The query parameter `access_token`, for a browser’s EventSource, which can’t send headers. */
  queryToken: string | undefined
}

/** Finds the token: the Authorization header, else the cookie `sse_token`, else the query parameter. */
export function findToken(source: TokenSource): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(source.headers.authorization ?? '')?.[1]
  if (bearer) return bearer
  const cookie = /(?:^|;) *sse_token=([^;]+)/.exec(source.headers.cookie ?? '')?.[1]
  return cookie ?? (source.queryToken || undefined)
}

export class TokenVerifier {
  private readonly cache = new Map<string, Grants>()

  private readonly check: ((token: string) => Promise<JWTPayload>) | undefined

  private constructor(check?: (token: string) => Promise<JWTPayload>) {
    this.check = check
  }

  /** @throws SettingsError when AUTH_MODE=jwt has no source of keys, or more than one. */
  static create(settings: TokenSettings): TokenVerifier {
    if (settings.AUTH_MODE === 'off') return new TokenVerifier()
    const sources = [settings.JWT_JWKS_URL, settings.JWT_PUBLIC_KEY, settings.JWT_SECRET].filter(
      (value) => value !== '',
    )
    if (sources.length !== 1) {
      throw new SettingsError(
        `AUTH_MODE=jwt needs exactly one of JWT_JWKS_URL, JWT_PUBLIC_KEY and JWT_SECRET, and ${sources.length} are set. ` +
          'AUTH_MODE=off serves everybody.',
      )
    }
    const options: JWTVerifyOptions = {
      requiredClaims: ['exp'],
      clockTolerance: 0,
      ...(settings.JWT_ISSUER ? { issuer: settings.JWT_ISSUER } : {}),
      ...(settings.JWT_AUDIENCE ? { audience: settings.JWT_AUDIENCE } : {}),
    }
    return new TokenVerifier(checker(settings, options))
  }

  /** True when nobody is asked for a token. */
  get open(): boolean {
    return this.check === undefined
  }

  /**
   * The grants of the token that `source` carries. A verified token is remembered until it expires.
   *
   * @throws Problem `unauthenticated` when it is missing, malformed, badly signed or expired; `unavailable` when
   *   the issuer's keys can't be fetched.
   */
  async verify(source: TokenSource): Promise<Grants> {
    if (!this.check) return everything
    const token = findToken(source)
    if (!token) {
      throw new Problem(
        'unauthenticated',
        'No token: send it as `Authorization: Bearer`, cookie `sse_token` or query parameter `access_token`.',
      )
    }
    const known = this.cache.get(token)
    if (known && known.expiresAt > Date.now()) return known
    const grants = grantsOf(await this.claims(token))
    this.remember(token, grants)
    return grants
  }

  private async claims(token: string): Promise<JWTPayload> {
    try {
      return await (this.check as (token: string) => Promise<JWTPayload>)(token)
    } catch (error) {
      if (error instanceof errors.JWTExpired)
        throw new Problem('unauthenticated', 'The token has expired; get a new one.')
      if (error instanceof Problem) throw error
      throw new Problem('unauthenticated', `The token is not valid: ${(error as Error).message}.`)
    }
  }

  private remember(token: string, grants: Grants): void {
    this.cache.delete(token)
    this.cache.set(token, grants)
    // Oldest first; the bound keeps a flood of one-time tokens from growing the pod.
    if (this.cache.size > 10_000) this.cache.delete(this.cache.keys().next().value as string)
  }
}

/** No usable key set came, so the token can't be judged. An answer that is not 200 or not JSON is jose's plain error. */
const keySetFailures = [errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code]

function checker(settings: TokenSettings, options: JWTVerifyOptions): (token: string) => Promise<JWTPayload> {
  if (settings.JWT_JWKS_URL) {
    const keys = createRemoteJWKSet(new URL(settings.JWT_JWKS_URL), {
      cooldownDuration: 10_000,
      timeoutDuration: 3_000,
    })
    // Here and not around the whole check, since a token that does not fit its key is no passing condition.
    const fetchedKey: JWTVerifyGetKey = async (header, token) => {
      try {
        return await keys(header, token)
      } catch (error) {
        if (error instanceof errors.JOSEError && !keySetFailures.includes(error.code)) throw error
        throw new Problem('unavailable', 'The issuer’s keys can’t be fetched right now; try again.')
      }
    }
    return async (token) =>
      (await jwtVerify(token, fetchedKey, { ...options, algorithms: asymmetric })).payload
  }
  if (settings.JWT_PUBLIC_KEY) {
    const key = publicKey(settings.JWT_PUBLIC_KEY)
    return async (token) => (await jwtVerify(token, key, { ...options, algorithms: asymmetric })).payload
  }
  const secret = new TextEncoder().encode(fileOrText(settings.JWT_SECRET))
  if (secret.length < 32) throw new SettingsError('JWT_SECRET: at least 32 bytes are needed (RFC 7518, 3.2).')
  return async (token) =>
    (await jwtVerify(token, secret, { ...options, algorithms: ['HS256', 'HS384', 'HS512'] })).payload
}

// Named, so that a public key can never be used as an HMAC secret (RFC 8725, 3.1).
const asymmetric = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

function publicKey(setting: string): KeyObject {
  try {
    return createPublicKey(fileOrText(setting).replaceAll('\\n', '\n'))
  } catch (error) {
    throw new SettingsError(
      `JWT_PUBLIC_KEY: neither a PEM public key nor the path of one (${String(error)}).`,
    )
  }
}

function fileOrText(setting: string): string {
  return existsSync(setting) ? readFileSync(setting, 'utf8').trim() : setting
}

function grantsOf(claims: JWTPayload): Grants {
  const nested = (claims.sse ?? {}) as Record<string, unknown>
  return {
    subject: claims.sub ?? '',
    subscribe: patterns(nested.subscribe ?? claims['sse.subscribe'], 'sse.subscribe'),
    publish: patterns(nested.publish ?? claims['sse.publish'], 'sse.publish'),
    expiresAt: (claims.exp as number) * 1000,
  }
}

function patterns(claim: unknown, name: string): string[] {
  if (claim === undefined) return []
  if (!Array.isArray(claim) || !claim.every((item) => typeof item === 'string' && isTopicPattern(item))) {
    throw new Problem('unauthenticated', `The token’s claim ${name} must be a list of topic patterns.`)
  }
  return claim
}

/** @throws Problem `forbidden` naming the first of `wanted` that no granted pattern covers. */
export function requireGrant(
  granted: readonly string[],
  wanted: readonly string[],
  claim: 'sse.subscribe' | 'sse.publish',
): void {
  for (const topic of wanted) {
    if (!granted.some((pattern) => covers(pattern, topic))) {
      throw new Problem('forbidden', `The token’s claim ${claim} does not cover the topic "${topic}".`, {
        topic,
      })
    }
  }
}
