import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { gatewaySettings } from '../../services/gateway/config.ts'
import { publisherSettings } from '../../services/publisher/config.ts'

// What `make up` looks at before it lets Compose begin: settings that would cost events or streams later.

/** What these checks read of `docker compose config --format json`. */
export interface ComposeConfig {
  name: string
  services: Record<string, { stop_grace_period?: string; environment?: Record<string, string | null> }>
  secrets?: Record<string, { file?: string }>
}

/** Volume of the (first) server's log, by the number of NATS servers. */
const logVolumes = { 1: 'nats-data', 3: 'nats-1-data' }

/** @throws when a container would be killed in the midst of its drain. */
export function requireGrace({ services }: ComposeConfig): void {
  const { DRAIN_WINDOW_MS } = gatewaySettings.properties
  const { DRAIN_DELAY_MS, DRAIN_TIMEOUT_MS } = publisherSettings.properties
  // What docs/settings.md asks for above the drain.
  requireLonger('gateway', 'GATEWAY_GRACE_PERIOD', { DRAIN_WINDOW_MS }, 15)
  requireLonger('publisher', 'PUBLISHER_GRACE_PERIOD', { DRAIN_DELAY_MS, DRAIN_TIMEOUT_MS }, 5)

  function requireLonger(name: string, setting: string, drain: Record<string, object>, moreSeconds: number) {
    const service = services[name]
    const given = service?.stop_grace_period ?? '10s'
    const times = Object.entries(drain).map(([key, property]) =>
      Number(service?.environment?.[key] ?? ('default' in property ? property.default : 0)),
    )
    const needed = times.reduce((sum, ms) => sum + ms, 0) / 1000 + moreSeconds
    if (seconds(given) >= needed) return
    throw new Error(
      `${setting}: "${given}" is too short, the drain would end in SIGKILL. ` +
        `${Object.keys(drain).join(' and ')} and ${moreSeconds} s are ${needed} s.`,
    )
  }
}

/** Compose's durations: `40s`, `1m30s`. */
function seconds(duration: string): number {
  const units = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6 }
  const parts = duration.matchAll(/([\d.]+)(h|ms|us|m|s)/g)
  return [...parts].reduce(
    (sum, [, value, unit]) => sum + Number(value) * units[unit as keyof typeof units],
    0,
  )
}

/**
 * One server and three have a log of their own each, so a change of NATS_NODES would silently begin an empty one.
 *
 * @throws when `volumes`, the names of all there are, hold only the other one.
 */
export function requireSameLog({ name, services }: ComposeConfig, volumes: string[]): void {
  const nodes = services['nats-2'] ? 3 : 1
  const others = nodes === 3 ? 1 : 3
  const volume = (count: 1 | 3) => `${name}_${logVolumes[count]}`
  if (volumes.includes(volume(nodes)) || !volumes.includes(volume(others))) return
  throw new Error(
    `NATS_NODES=${nodes} would begin an empty log: there is one of NATS_NODES=${others}, in the volume ${volume(others)}.\n` +
      `Keep it with NATS_NODES=${others}, move it as docs/operations.md says (Three NATS servers), ` +
      'or give it up with `make clean`.',
  )
}

/** Makes the file with the password of Grafana's user admin, where Grafana is wanted and there is none. */
export function provideGrafanaPassword({ services, secrets }: ComposeConfig): void {
  const file = secrets?.['grafana-password']?.file
  if (!services.grafana || !file || existsSync(file)) return
  mkdirSync(dirname(file), { recursive: true })
  // For all to read, since Grafana's user in the container is not whoever runs this.
  writeFileSync(file, `${randomBytes(16).toString('hex')}\n`, { mode: 0o644 })
  console.log(`made a password for Grafana's user admin: ${file}`)
}
