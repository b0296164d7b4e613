import { hostname } from 'node:os'
import { type Static, Type } from 'typebox'
import {
  commonSettings,
  durations,
  port,
  readSettings,
  SettingsError,
  text,
  whole,
} from '../common/settings.ts'
import { isTopic } from '../contract/topic.ts'

const { second, minute, hour } = durations

/** Settings of the prober. */
export const proberSettings = Type.Object({
  BASE_URL: text(
    'http://127.0.0.1:8080',
    'The front door, as users meet it. For https with a CA of your own, name its file in NODE_EXTRA_CA_CERTS.',
  ),
  PROBE_CERTIFICATE_URL: text(
    '',
    'Whose certificate is watched, such as https://example.com; empty: that of BASE_URL where it is https.',
  ),
  PROBE_TOKEN: text(
    '',
    'Token, sent as `Authorization: Bearer`; must grant both halves of its topic. Empty: none.',
  ),
  PROBE_TOPIC: text(
    '',
    'Topic of the canaries, one per prober; empty: `probe.` and the name of the machine or container.',
  ),
  PROBE_INTERVAL_MS: whole(1 * second, 50, hour, 'Between canaries.'),
  PROBE_RECONNECT_MS: whole(
    60 * second,
    500,
    24 * hour,
    'Between forced reconnects, each of which tries whether a resume loses nothing. Below MAX_AGE_MS of the gateway, else its own come first.',
  ),
  PROBE_LOST_AFTER_MS: whole(
    30 * second,
    500,
    10 * minute,
    'A stored canary that has not come by then counts as lost. Below STREAM_DEDUPE_WINDOW_MS, since a canary is published again for as long.',
  ),
  HOST: commonSettings.HOST,
  METRICS_PORT: port(9105, 'Port of /livez, /readyz and /metrics.'),
  LOG_LEVEL: commonSettings.LOG_LEVEL,
})

export type ProberSettings = Static<typeof proberSettings>

/** @throws SettingsError naming each bad setting. */
export function readProberSettings(environment: Record<string, string | undefined>): ProberSettings {
  const settings = readSettings(proberSettings, environment)
  if (!/^https?:$/.test(URL.parse(settings.BASE_URL)?.protocol ?? ''))
    throw new SettingsError(
      `BASE_URL: "${settings.BASE_URL}" must be an address such as https://example.com.`,
    )
  if (settings.PROBE_CERTIFICATE_URL && URL.parse(settings.PROBE_CERTIFICATE_URL)?.protocol !== 'https:')
    throw new SettingsError(
      `PROBE_CERTIFICATE_URL: "${settings.PROBE_CERTIFICATE_URL}" must be an address such as https://example.com.`,
    )
  const topic =
    settings.PROBE_TOPIC ||
    `probe.${hostname()
      .replace(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 200)}`
  if (!isTopic(topic)) throw new SettingsError(`PROBE_TOPIC: "${topic}" is not a topic.`)
  return { ...settings, PROBE_TOPIC: topic }
}
