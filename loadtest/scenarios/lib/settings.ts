import { SharedArray } from 'k6/data'
import exec from 'k6/execution'

/** Settings of a scenario, from the environment (`k6 run -e NAME=value`, `make load NAME=value`). */

export function text(name: string, otherwise: string): string {
  return __ENV[name] || otherwise
}

/** @throws when the value is no number of `least` or more. */
export function number(name: string, otherwise: number, least = 0): number {
  const given = __ENV[name]
  if (!given) return otherwise
  const value = Number(given)
  if (!(value >= least)) throw new Error(`${name}=${given} is not a number of ${least} or more`)
  return value
}

/** k6 processes (runners) that share a test, as with the k6-operator; each has one virtual user. */
export const runners = number('RUNNERS', 1, 1)

/** This runner's part of a number that is given for the whole test. */
export function share(name: string, otherwise: number, least = 0): number {
  return Math.max(least, Math.ceil(number(name, otherwise, least) / runners))
}

/** Milliseconds of a duration such as `90s`, `1m30s` or `250ms`. @throws when it is none. */
export function durationMs(value: string): number {
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== value)
    throw new Error(`'${value}' is not a duration such as 90s or 1m30s`)
  return parts.reduce((sum, part) => sum + Number(part[1]) * (units[part[2] as string] as number), 0)
}

export function duration(name: string, otherwise: string): string {
  const value = text(name, otherwise)
  durationMs(value)
  return value
}

/** The first address of the cluster. */
const baseUrl = text('BASE_URL', 'http://localhost:8080')

/** Where streams are opened: several addresses, with commas between, are taken in turn. */
export const streamUrls = text('STREAM_URL', baseUrl).split(',')

/** Where events are published. */
export const publishUrl = text('PUBLISH_URL', baseUrl.split(',')[0] as string)

/** TOKENS_FILE has a token a line, for clients that are different subjects. */
const tokens = new SharedArray('tokens', () => {
  const file = text('TOKENS_FILE', '')
  const lines = file ? open(file).split(/\s+/).filter(Boolean) : []
  if (file && lines.length === 0) throw new Error(`TOKENS_FILE=${file} has no token`)
  return lines
})

const token = text('TOKEN', tokens[0] ?? '')

/** Each runner begins at another place, so that runners with fewer clients than tokens do not all take the same. */
function ownTokens(): string[] {
  const first = Math.floor(((exec.vu.idInTest - 1) * tokens.length) / runners)
  return Array.from({ length: tokens.length }, (_, i) => tokens[(first + i) % tokens.length] as string)
}

/** What every swarm takes from the environment. */
export function clientSettings() {
  return {
    url: streamUrls,
    ...(tokens.length > 0 ? { tokens: ownTokens() } : token && { token }),
    ...(__ENV.SOURCE_ADDRESSES && { sourceAddresses: __ENV.SOURCE_ADDRESSES.split(',') }),
    ...(__ENV.HTTP2 === '1' && {
      http2: true,
      streamsPerConnection: number('STREAMS_PER_CONNECTION', 100, 1),
    }),
  }
}

/** What every publisher takes from the environment. */
export function publisherSettings() {
  const publishToken = text('PUBLISH_TOKEN', token)
  return { url: publishUrl, ...(publishToken && { token: publishToken }), size: number('EVENT_BYTES', 100) }
}
