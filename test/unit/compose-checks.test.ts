import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type ComposeConfig,
  provideGrafanaPassword,
  requireGrace,
  requireSameLog,
} from '../../deploy/local/compose-checks.ts'

function config(services: ComposeConfig['services'] = {}): ComposeConfig {
  return {
    name: 'shop',
    services: {
      nats: {},
      gateway: { stop_grace_period: '40s', environment: { DRAIN_WINDOW_MS: null } },
      publisher: { stop_grace_period: '20s' },
      ...services,
    },
  }
}
const gateway = (stop_grace_period: string, DRAIN_WINDOW_MS: string | null) =>
  config({ gateway: { stop_grace_period, environment: { DRAIN_WINDOW_MS } } })

describe('make up refuses a grace period that would cut a drain', () => {
  test.each([
    ['40s', null],
    ['35s', null],
    ['2m15s', '120000'],
    ['1h0m0s', '300000'],
  ])('%s is enough for a window of %s', (grace, window) => {
    requireGrace(gateway(grace, window))
  })

  test.each([
    ['34s', null],
    ['40s', '60000'],
    ['500ms', '0'],
  ])('%s is too short for a window of %s, and it says so', (grace, window) => {
    expect(() => requireGrace(gateway(grace, window))).toThrow(
      `GATEWAY_GRACE_PERIOD: "${grace}" is too short`,
    )
  })

  test('the publisher finishes its requests too', () => {
    const publisher = { stop_grace_period: '20s', environment: { DRAIN_TIMEOUT_MS: '30000' } }
    expect(() => requireGrace(config({ publisher }))).toThrow('PUBLISHER_GRACE_PERIOD: "20s" is too short')
  })
})

describe('make up never begins an empty log beside one that is there', () => {
  const one = config()
  const three = config({ 'nats-2': {} })

  test.each([
    ['one server at first', one, []],
    ['three servers at first', three, []],
    ['one again', one, ['shop_nats-data']],
    ['three again', three, ['shop_nats-1-data', 'shop_nats-2-data', 'shop_nats-3-data']],
    ['three, moved from one', three, ['shop_nats-data', 'shop_nats-1-data']],
    ['another project', three, ['news_nats-data']],
  ])('%s', (_, wanted, volumes) => {
    requireSameLog(wanted, volumes)
  })

  test.each([
    [one, ['shop_nats-1-data'], 'NATS_NODES=3'],
    [three, ['shop_nats-data'], 'NATS_NODES=1'],
  ])('the other number of servers is refused, and the way out named', (wanted, volumes, kept) => {
    expect(() => requireSameLog(wanted, volumes)).toThrow(`Keep it with ${kept}`)
  })
})

test('Grafana gets a password that nobody knows, once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sse-cluster-secrets-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'secrets/grafana-password')
  const secrets = { 'grafana-password': { file } }
  provideGrafanaPassword({ ...config(), secrets })
  expect(existsSync(file)).toBe(false)

  const monitored = { ...config({ grafana: {} }), secrets }
  provideGrafanaPassword(monitored)
  const password = readFileSync(file, 'utf8')
  expect(password).toMatch(/^[0-9a-f]{32}\n$/)
  provideGrafanaPassword(monitored)
  expect(readFileSync(file, 'utf8')).toBe(password)
})
