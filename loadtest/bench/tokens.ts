import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'

export const secret = 'a secret of the benchmark, which is of no use elsewhere'

/** The gateway's settings for these tokens. */
export const tokenSettings = { AUTH_MODE: 'jwt', JWT_SECRET: secret }

/** A token that may read and publish everything for a day. */
export function makeToken(subject: string): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const expires = Math.floor(Date.now() / 1000) + 86_400
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({
    sub: subject,
    exp: expires,
    sse: { subscribe: ['>'], publish: ['>'] },
  })}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** Writes a token a line, each of another subject, and returns the file. */
export function writeTokens(file: string, count: number, prefix = 'user'): string {
  const lines = Array.from({ length: count }, (_, index) => makeToken(`${prefix}-${index}`))
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })
  return file
}
