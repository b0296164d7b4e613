import { type Static, type TObject, Type } from 'typebox'
import { Value } from 'typebox/value'

/**
 * Settings come from the environment, one table per service: name, default, bounds, and why (the description).
 * A bad value stops the start and is named. `docs/settings.md` is generated from these tables.
 */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

/**
 * Reads the settings that `table` names from `environment`. An empty variable counts as not set.
 *
 * @throws SettingsError naming each bad variable, its value (secrets apart) and what is allowed.
 */
export function readSettings<Table extends TObject>(
  table: Table,
  environment: Record<string, string | undefined>,
): Static<Table> {
  const given: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(table.properties)) {
    const value = environment[name]?.trim()
    if (value !== undefined && value !== '') given[name] = readValue(schema as SettingSchema, value)
  }
  const settings = Value.Default(table, given)
  if (Value.Check(table, settings)) return settings as Static<Table>
  const faults = Value.Errors(table, settings).map((error) => {
    const name = error.instancePath.slice(1)
    const shown = /SECRET|TOKEN|PASSWORD|KEY/.test(name)
      ? 'its value'
      : JSON.stringify(environment[name] ?? '')
    const schema = table.properties[name] as SettingSchema | undefined
    return schema ? `${name}: ${shown} must be ${allowed(schema)}` : error.message
  })
  throw new SettingsError(`Bad settings. ${[...new Set(faults)].join('; ')}. See docs/settings.md.`)
}

interface SettingSchema {
  type?: string
  minimum?: number
  maximum?: number
  enum?: readonly string[]
}

/** Converts only what is written as it should be: 3.7 for a whole number is a slip, and no 3. */
function readValue(schema: SettingSchema, value: string): unknown {
  if (schema.type === 'integer' && /^-?\d+$/.test(value)) return Number(value)
  if (schema.type === 'number' && /^-?\d+(\.\d+)?$/.test(value)) return Number(value)
  if (schema.type === 'boolean' && /^(true|1)$/i.test(value)) return true
  if (schema.type === 'boolean' && /^(false|0)$/i.test(value)) return false
  return value
}

function allowed(schema: SettingSchema): string {
  if (schema.enum) return `one of ${schema.enum.join(', ')}`
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'string') return 'text'
  const kind = schema.type === 'integer' ? 'a whole number' : 'a number'
  if (schema.minimum === undefined || schema.maximum === undefined) return kind
  return `${kind} from ${schema.minimum} to ${schema.maximum}`
}

/** Splits a comma-separated setting; an empty one gives an empty list. */
export function listOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** @throws SettingsError naming what in `CORS_ORIGINS` is no origin. */
export function requireOrigins(setting: string): void {
  const isOrigin = (text: string) => URL.parse(text)?.origin === text && !text.includes('*')
  const bad = listOf(setting).find((item) => item !== '*' && !isOrigin(item))
  if (bad !== undefined)
    throw new SettingsError(
      `CORS_ORIGINS: "${bad}" is not an origin such as https://app.example.com, nor * alone.`,
    )
}

/** @throws SettingsError for stream settings that NATS would refuse together. */
export function requireStreamSettings(settings: {
  STREAM_MAX_AGE_MS: number
  STREAM_DEDUPE_WINDOW_MS: number
}): void {
  const { STREAM_MAX_AGE_MS: maxAgeMs, STREAM_DEDUPE_WINDOW_MS: windowMs } = settings
  if (maxAgeMs > 0 && windowMs > maxAgeMs) {
    throw new SettingsError(
      `STREAM_DEDUPE_WINDOW_MS (${windowMs}) is greater than STREAM_MAX_AGE_MS (${maxAgeMs}): the log can’t know ids longer than events.`,
    )
  }
}

export const text = (initial: string, description: string) => Type.String({ default: initial, description })
export const port = (initial: number, description: string) =>
  Type.Integer({ default: initial, minimum: 0, maximum: 65535, description })
export const whole = (initial: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: initial, minimum, maximum, description })
export const flag = (initial: boolean, description: string) => Type.Boolean({ default: initial, description })
export const choice = <const Options extends string[]>(
  options: Options,
  initial: Options[number],
  description: string,
) => Type.Unsafe<Options[number]>(Type.Enum(options, { default: initial, description }))

const second = 1000
const minute = 60 * second
const hour = 60 * minute
export const durations = { second, minute, hour }

/** Settings that every service has. */
export const commonSettings = {
  NATS_URL: text('nats://127.0.0.1:4222', 'NATS servers, comma-separated.'),
  NATS_CREDENTIALS_FILE: text('', 'NATS credentials file (.creds); empty: none.'),
  NATS_USER: text('', 'NATS user name; empty: none.'),
  NATS_PASSWORD: text('', 'Password of NATS_USER.'),
  NATS_CA_FILE: text('', 'CA certificate for TLS to NATS; empty: as the URL says, with the system’s CAs.'),
  HOST: text('0.0.0.0', 'Address to listen on.'),
  LOG_LEVEL: choice(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'info',
    'Least severe log level written.',
  ),
}

/** How a token is checked, the same for publisher and gateway. */
export const authSettings = {
  AUTH_MODE: choice(
    ['jwt', 'off'],
    'jwt',
    'jwt: every request needs a token. off: anybody may read and publish; said in the log.',
  ),
  JWT_JWKS_URL: text(
    '',
    'URL of the issuer’s key set (JWKS). One of the three JWT_ sources must be set with AUTH_MODE=jwt.',
  ),
  JWT_PUBLIC_KEY: text('', 'Public key, PEM, or the path of a PEM file.'),
  JWT_SECRET: text(
    '',
    'Shared secret for HS256/384/512, at least 32 bytes, or the path of a file that holds it.',
  ),
  JWT_ISSUER: text('', 'Required `iss`; empty: any.'),
  JWT_AUDIENCE: text('', 'Required `aud`; empty: any.'),
}

/** Settings of the stream, used by whichever service finds it missing and creates it. */
export const streamSettings = {
  STREAM_NAME: text('EVENTS', 'JetStream stream that is the log.'),
  STREAM_REPLICAS: whole(1, 1, 5, 'Copies of the log; 3 survives the loss of a NATS server.'),
  STREAM_MAX_AGE_MS: whole(24 * hour, 0, 3650 * 24 * hour, 'How long events are kept; 0: no limit by age.'),
  STREAM_MAX_BYTES: whole(-1, -1, Number.MAX_SAFE_INTEGER, 'Greatest size of the log; -1: no limit by size.'),
  STREAM_DEDUPE_WINDOW_MS: whole(
    2 * minute,
    100,
    24 * hour,
    'An event id published again within this time is stored once. Not above STREAM_MAX_AGE_MS.',
  ),
}
