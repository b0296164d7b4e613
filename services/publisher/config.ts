import { type Static, Type } from 'typebox'
import {
  authSettings,
  commonSettings,
  durations,
  flag,
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

const { second, minute } = durations
const kibibyte = 1024
const mebibyte = 1024 * kibibyte

/** Settings of the publisher. */
export const publisherSettings = Type.Object({
  ...commonSettings,
  PORT: port(3002, 'Port of the HTTP interface.'),
  METRICS_PORT: port(9102, 'Port of /livez, /readyz and /metrics.'),
  ...authSettings,
  ...streamSettings,
  ...tracingSettings,
  STREAM_UPDATE: flag(
    false,
    'true: an existing stream is changed to the STREAM_ settings. false: a difference is only logged.',
  ),
  CORS_ORIGINS: text(
    '',
    'Origins of web pages that may use the service from elsewhere, comma-separated, such as https://app.example.com; * for all (then without cookies).',
  ),
  MAX_EVENT_BYTES: whole(
    256 * kibibyte,
    kibibyte,
    64 * mebibyte,
    'Greatest size of one event as sent. The NATS server’s max_payload (1 MiB by default) bounds it too.',
  ),
  MAX_BODY_BYTES: whole(
    8 * mebibyte,
    kibibyte,
    1024 * mebibyte,
    'Greatest size of an NDJSON body. Nginx refuses what is larger than its NGINX_MAX_BODY (8m): raise both.',
  ),
  MAX_BATCH_EVENTS: whole(20_000, 1, 1_000_000, 'Most events in one NDJSON body.'),
  MAX_BODIES_BYTES: whole(
    128 * mebibyte,
    mebibyte,
    64 * 1024 * mebibyte,
    'Greatest size of all bodies held at once; more gets 503. Bounds the memory of the pod.',
  ),
  MAX_HEADER_BYTES: whole(
    16 * kibibyte,
    2 * kibibyte,
    mebibyte,
    'Greatest size of a request’s address and headers together.',
  ),
  HEADERS_TIMEOUT_MS: whole(
    10 * second,
    100,
    5 * minute,
    'A request whose headers take longer is refused with 408.',
  ),
  REQUEST_TIMEOUT_MS: whole(
    30 * second,
    100,
    30 * minute,
    'A request that takes longer to arrive is refused with 408. Not below HEADERS_TIMEOUT_MS.',
  ),
  KEEP_ALIVE_TIMEOUT_MS: whole(
    75 * second,
    second,
    30 * minute,
    'An idle connection is closed after this time. Above Nginx’s keepalive_timeout to its upstreams (30 s), so that Nginx closes first.',
  ),
  ACK_TIMEOUT_MS: whole(
    5 * second,
    100,
    minute,
    'The log must acknowledge an event within this time, else the publisher gets 503.',
  ),
  DRAIN_TIMEOUT_MS: whole(
    10 * second,
    0,
    5 * minute,
    'Time that requests get to finish after SIGTERM. Below the platform’s grace period (30 s on Kubernetes).',
  ),
  DRAIN_DELAY_MS: whole(
    0,
    0,
    minute,
    'Time between "not ready" and "no more connections" after SIGTERM, for load balancers to notice.',
  ),
})

export type PublisherSettings = Static<typeof publisherSettings>

/** @throws SettingsError naming each bad setting. */
export function readPublisherSettings(environment: Record<string, string | undefined>): PublisherSettings {
  const settings = readSettings(publisherSettings, environment)
  if (settings.REQUEST_TIMEOUT_MS < settings.HEADERS_TIMEOUT_MS) {
    throw new SettingsError(
      `REQUEST_TIMEOUT_MS (${settings.REQUEST_TIMEOUT_MS}) is less than HEADERS_TIMEOUT_MS (${settings.HEADERS_TIMEOUT_MS}).`,
    )
  }
  requireOrigins(settings.CORS_ORIGINS)
  requireStreamSettings(settings)
  return settings
}
