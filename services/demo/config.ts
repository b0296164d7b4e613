import { type Static, Type } from 'typebox'
import { commonSettings, port, readSettings, text } from '../common/settings.ts'

/** Settings of the demo. */
export const demoSettings = Type.Object({
  PUBLISHER_URL: text(
    'http://127.0.0.1:3002/v1/events',
    'Where the demo publishes: the publisher’s HTTP API.',
  ),
  PUBLISHER_TOKEN: text('', 'Token for the publisher, sent as `Authorization: Bearer`; empty: none.'),
  GATEWAY_METRICS_URLS: text(
    'http://127.0.0.1:9101/metrics,http://127.0.0.1:9103/metrics',
    'Metrics of the gateways that the dashboard shows, comma-separated; a name with several addresses stands for as many gateways; a lone comma: no cluster numbers.',
  ),
  PUBLISHER_METRICS_URLS: text(
    'http://127.0.0.1:9102/metrics',
    'The same for the publishers, which know the log; a lone comma: none.',
  ),
  PROBER_METRICS_URLS: text(
    'http://127.0.0.1:9105/metrics',
    'The same for the probers, which know what a user feels; a lone comma: none.',
  ),
  DEMO_RATE: Type.Number({
    default: 4,
    minimum: 0.01,
    maximum: 1000,
    description: 'Events a second over all feeds, apart from the cluster numbers (one every two seconds).',
  }),
  HOST: commonSettings.HOST,
  METRICS_PORT: port(9104, 'Port of /livez, /readyz and /metrics.'),
  LOG_LEVEL: commonSettings.LOG_LEVEL,
})

export type DemoSettings = Static<typeof demoSettings>

/** @throws SettingsError naming each bad setting. */
export function readDemoSettings(environment: Record<string, string | undefined>): DemoSettings {
  return readSettings(demoSettings, environment)
}
