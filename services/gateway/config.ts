import { type Static, Type } from 'typebox'
import {
  authSettings,
  commonSettings,
  durations,
  listOf,
  port,
  readSettings,
  requireOrigins,
  requireStreamSettings,
  SettingsError,
  streamSettings,
  text,
  whole,
} from '../common/settings.ts'
import { tracingSettings } from '../common/tracing.ts'

const { second, minute, hour } = durations
const mebibyte = 1_048_576

/** All settings of the gateway; `docs/settings.md` is made from this table. */
export const gatewaySettings = Type.Object({
  ...commonSettings,
  PORT: port(3001, 'Port of the event streams.'),
  METRICS_PORT: port(9101, 'Port of /livez, /readyz and /metrics; keep it private.'),
  ...streamSettings,
  ...tracingSettings,
  ...authSettings,
  CORS_ORIGINS: text(
    '',
    'Origins whose pages may read streams, comma-separated; * for all; empty: same origin only.',
  ),
  HEARTBEAT_INTERVAL_MS: whole(
    15 * second,
    100,
    10 * minute,
    'Between heartbeats. Keep it below half of every proxy’s read timeout (Nginx here: 75 s).',
  ),
  MAX_AGE_MS: whole(
    10 * minute,
    second,
    24 * hour,
    'Greatest age of a stream, less a jitter of up to a fifth. Nginx’s worker_shutdown_timeout must be longer.',
  ),
  RETRY_MIN_MS: whole(1 * second, 0, hour, 'Least reconnection time told to clients.'),
  RETRY_MAX_MS: whole(
    4 * second,
    1,
    hour,
    'Greatest; the time is drawn evenly between the two, so that clients come back spread out.',
  ),
  DRAIN_WINDOW_MS: whole(
    20 * second,
    0,
    hour,
    'On SIGTERM closes are spread over this time. The pod’s grace period must be at least 15 s longer.',
  ),
  MAX_CONNECTIONS: whole(
    16_000,
    1,
    1_000_000,
    'Streams per pod; the process needs about 200 descriptors more.',
  ),
  MAX_CONNECTIONS_PER_SUBJECT: whole(
    100,
    1,
    1_000_000,
    'Streams per pod for one token subject. Tokens without the claim `sub` are one subject together.',
  ),
  MAX_TOPICS: whole(64, 1, 1_000, 'Topics per stream.'),
  MAX_HEADER_BYTES: whole(
    16_384,
    1_024,
    mebibyte,
    'Request line and headers together; above Nginx’s own limit of 16 KB nothing arrives.',
  ),
  MAX_URL_BYTES: whole(8_192, 256, mebibyte, 'Path and query of a request.'),
  HEADERS_TIMEOUT_MS: whole(10 * second, 100, 10 * minute, 'A request whose headers take longer is refused.'),
  RECENT_LOG_BYTES: whole(
    64 * mebibyte,
    65_536,
    64 * 1024 * mebibyte,
    'Memory for the newest events: how far back a resume is cheap.',
  ),
  WARM_EVENTS: whole(
    20_000,
    0,
    10_000_000,
    'Events read back at start, so that clients of another pod resume from memory.',
  ),
  REPLAY_SWEEPS: whole(4, 1, 64, 'Reads of the stream at a time for clients that are further behind.'),
  REPLAY_PAGE_BYTES: whole(
    16_384,
    4_096,
    16 * mebibyte,
    'Memory of one such read. Larger pages replay faster, and live streams wait longer beside them: with 1,000 clients replaying 100,000 events each, 16 KB gave 5.0 million events/s and a live p99 of 10 ms, 64 KB 6.5 million and 23 ms.',
  ),
  MAX_UNSENT_BYTES: whole(
    64 * mebibyte,
    mebibyte,
    64 * 1024 * mebibyte,
    'Memory that slow readers may hold together; beyond it those stalled longest are closed.',
  ),
  STALL_TIMEOUT_MS: whole(
    30 * second,
    100,
    hour,
    'A reader that takes nothing for this long is closed as too slow.',
  ),
})

export type GatewaySettings = Static<typeof gatewaySettings>

/** @throws SettingsError naming each bad setting. */
export function readGatewaySettings(environment: Record<string, string | undefined>): GatewaySettings {
  const settings = readSettings(gatewaySettings, environment)
  if (settings.RETRY_MIN_MS > settings.RETRY_MAX_MS) {
    throw new SettingsError(
      `RETRY_MIN_MS (${settings.RETRY_MIN_MS}) is greater than RETRY_MAX_MS (${settings.RETRY_MAX_MS}).`,
    )
  }
  requireOrigins(settings.CORS_ORIGINS)
  requireStreamSettings(settings)
  if (settings.CORS_ORIGINS === '*' && settings.AUTH_MODE === 'jwt') {
    throw new SettingsError(
      'CORS_ORIGINS=* with AUTH_MODE=jwt would let every page read with its visitor’s cookie; name the origins.',
    )
  }
  return settings
}

/** The allow-list for @fastify/cors; undefined when no other origin may read. */
export function corsOrigins(setting: string): true | string[] | undefined {
  const origins = listOf(setting)
  if (origins.length === 0) return undefined
  return origins.includes('*') ? true : origins
}
