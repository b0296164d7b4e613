import { createPublicKey, KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { type Algorithm, createVerifier } from 'fast-jwt'
import { type CryptoKey, createRemoteJWKSet, decodeProtectedHeader, errors } from 'jose'
import { Problem } from './problem.ts'
import { SettingsError } from './settings.ts'

export interface KeySettings {
  JWT_JWKS_URL: string
  JWT_PUBLIC_KEY: string
  JWT_SECRET: string
  JWT_ISSUER: string
  JWT_AUDIENCE: string
}

export type Claims = Record<string, unknown>

/** Judges a token. @throws an Error that says what is wrong with it, or Problem `unavailable`. */
export type TokenCheck = (token: string) => Claims | Promise<Claims>

/** No usable key set came, so the token can't be judged. An answer that is not 200 or not JSON is jose's plain error. */
const keySetFailures = [errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code]

/**
 * The check that the settings ask for: signature (RFC 7515), `exp`, `nbf`, and issuer and audience where they are set.
 *
 * Keys are fetched by jose; signatures are checked by fast-jwt in this thread. jose checks by WebCrypto, whose way
 * through another thread costs more than an HMAC: opening a stream with HS256 took 350 µs of a core and left
 * 7 KB of scattered heap behind, in this thread 200 µs and 1 KB.
 *
 * @throws SettingsError for a key that can't be used.
 */
export function createTokenCheck(settings: KeySettings): TokenCheck {
  if (settings.JWT_JWKS_URL) return keySetCheck(new URL(settings.JWT_JWKS_URL), settings)
  if (settings.JWT_PUBLIC_KEY) return verifier(publicKey(settings.JWT_PUBLIC_KEY), undefined, settings)
  const secret = fileOrText(settings.JWT_SECRET)
  if (Buffer.byteLength(secret) < 32) {
    throw new SettingsError('JWT_SECRET: at least 32 bytes are needed (RFC 7518, 3.2).')
  }
  return verifier(secret, ['HS256', 'HS384', 'HS512'], settings)
}

/** `algorithms` are those of the key's kind unless given, so that a public key never serves as a secret (RFC 8725, 3.1). */
function verifier(key: string, algorithms: Algorithm[] | undefined, settings: KeySettings): TokenCheck {
  const { JWT_ISSUER, JWT_AUDIENCE } = settings
  const requiredClaims = ['exp', ...(JWT_ISSUER ? ['iss'] : []), ...(JWT_AUDIENCE ? ['aud'] : [])]
  return createVerifier({
    key,
    cache: false,
    requiredClaims,
    ...(algorithms ? { algorithms } : {}),
    ...(JWT_ISSUER ? { allowedIss: JWT_ISSUER } : {}),
    ...(JWT_AUDIENCE ? { allowedAud: JWT_AUDIENCE } : {}),
  })
}

/** Looks the token's key up in the issuer's key set, which is fetched again when it is old or lacks the key. */
function keySetCheck(url: URL, settings: KeySettings): TokenCheck {
  const keys = createRemoteJWKSet(url, { cooldownDuration: 10_000, timeoutDuration: 3_000 })
  const verifiers = new WeakMap<CryptoKey, TokenCheck>()
  return async (token) => {
    const header = decodeProtectedHeader(token)
    if (!asymmetric.includes(header.alg as Algorithm)) throw new Error('its algorithm is not allowed')
    const key = await fetchedKey(() => keys({ ...header, alg: header.alg as string }))
    let verify = verifiers.get(key)
    if (!verify) {
      const pem = KeyObject.from(key as Parameters<typeof KeyObject.from>[0]).export({
        type: 'spki',
        format: 'pem',
      })
      // jose imports a key once for each algorithm that it is asked for, so the pair is known by the key alone.
      verify = verifier(pem.toString(), [header.alg as Algorithm], settings)
      verifiers.set(key, verify)
    }
    return verify(token)
  }
}

const asymmetric: Algorithm[] = [
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
]

/** @throws Problem `unavailable` when no usable key set came: a passing condition, unlike a token that fits no key. */
async function fetchedKey(fetch: () => Promise<CryptoKey>): Promise<CryptoKey> {
  try {
    return await fetch()
  } catch (error) {
    if (error instanceof errors.JOSEError && !keySetFailures.includes(error.code)) throw error
    throw new Problem('unavailable', 'The issuer’s keys can’t be fetched right now; try again.')
  }
}

function publicKey(setting: string): string {
  try {
    const key = createPublicKey(fileOrText(setting).replaceAll('\\n', '\n'))
    return key.export({ type: 'spki', format: 'pem' }).toString()
  } catch (error) {
    throw new SettingsError(
      `JWT_PUBLIC_KEY: neither a PEM public key nor the path of one (${String(error)}).`,
    )
  }
}

function fileOrText(setting: string): string {
  return existsSync(setting) ? readFileSync(setting, 'utf8').trim() : setting
}
