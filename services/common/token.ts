import { covers, isTopicPattern } from '../contract/topic.ts'
import { Problem } from './problem.ts'
import { SettingsError } from './settings.ts'
import { type Claims, createTokenCheck, type KeySettings, type TokenCheck } from './token-check.ts'

/**
 * Who is asking, and what they may do. From a JWT's claims `sub`, `exp` and `sse: {subscribe, publish}` (or
 * `"sse.subscribe"`, `"sse.publish"`), lists of topic patterns.
 */
export interface Grants {
  /** Empty without authentication. */
  subject: string
  subscribe: readonly string[]
  publish: readonly string[]
  /** Milliseconds since 1970; Infinity without authentication. */
  expiresAt: number
}

/** Stands for the subject of all tokens that name none, so that they can't get around its limit together. */
export const noSubject = '(no sub)'

export const everything: Grants = {
  subject: '',
  subscribe: ['>'],
  publish: ['>'],
  expiresAt: Number.POSITIVE_INFINITY,
}

export interface TokenSettings extends KeySettings {
  AUTH_MODE: 'jwt' | 'off'
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

/**
 * Verified tokens that are remembered: enough for a publisher's clients, which send the same few with each request.
 * A gateway meets most tokens once, and checking one again costs less than keeping it (some 300 bytes).
 */
const maxRemembered = 1_000

export class TokenVerifier {
  private readonly remembered = new Map<string, Grants>()
  private readonly check: TokenCheck | undefined

  private constructor(check?: TokenCheck) {
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
    return new TokenVerifier(createTokenCheck(settings))
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
    const known = this.remembered.get(token)
    if (known && known.expiresAt > Date.now()) return known
    const grants = grantsOf(await this.claims(token))
    this.remember(token, grants)
    return grants
  }

  private async claims(token: string): Promise<Claims> {
    try {
      return await (this.check as TokenCheck)(token)
    } catch (error) {
      if (error instanceof Problem) throw error
      throw new Problem('unauthenticated', `The token is not valid: ${(error as Error).message}`)
    }
  }

  private remember(token: string, grants: Grants): void {
    this.remembered.delete(token)
    this.remembered.set(token, grants)
    // Oldest first.
    if (this.remembered.size > maxRemembered)
      this.remembered.delete(this.remembered.keys().next().value as string)
  }
}

function grantsOf(claims: Claims): Grants {
  const nested = (claims.sse ?? {}) as Record<string, unknown>
  return {
    subject: subject(claims.sub),
    subscribe: patterns(nested.subscribe ?? claims['sse.subscribe'], 'sse.subscribe'),
    publish: patterns(nested.publish ?? claims['sse.publish'], 'sse.publish'),
    expiresAt: (claims.exp as number) * 1000,
  }
}

function subject(claim: unknown): string {
  if (claim === undefined || claim === '') return noSubject
  if (typeof claim === 'string') return claim
  throw new Problem('unauthenticated', 'The token’s claim sub must be a string.')
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
