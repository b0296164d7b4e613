import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ComposeProject, whyNoContainers } from '../support/compose-project.ts'
import { freePort } from '../support/ports.ts'
import { waitUntil } from '../support/wait.ts'

const rules = join(import.meta.dirname, '../../deploy/observability/prometheus/rules')
const monitoring = ['prometheus', 'nginx-exporter']

const obstacle = await whyNoContainers(monitoring)
if (obstacle) console.log(`compose-monitoring.test.ts: the profile is not tested here: ${obstacle}`)
else {
  const noGrafana = await whyNoContainers(['grafana'])
  if (noGrafana) console.log(`compose-monitoring.test.ts: tested without Grafana: ${noGrafana}`)
  else monitoring.push('grafana')
}

interface Target {
  labels: { job: string; instance: string }
  health: string
  lastError: string
}

describe.skipIf(obstacle)('the profile monitoring in containers', () => {
  let project: ComposeProject
  let prometheus: string

  beforeAll(async () => {
    const port = String(await freePort())
    const grafanaPort = String(await freePort())
    prometheus = `http://127.0.0.1:${port}`
    project = await ComposeProject.create({ PROMETHEUS_PORT: port, GRAFANA_PORT: grafanaPort })
    await writeFile(join(project.secrets, 'grafana-password'), 'never used\n')
    expect((await project.make('up')).all).toContain('Events come through.')
    const { exitCode, all } = await project.compose('up', '--detach', '--wait', ...monitoring)
    expect([exitCode, all]).toEqual([0, expect.any(String)])
  })
  afterAll(() => project?.remove())

  async function ask<T>(path: string): Promise<T> {
    const answer = (await (await fetch(`${prometheus}/api/v1/${path}`)).json()) as { data: T }
    return answer.data
  }

  test('Prometheus sees every part of the cluster', async () => {
    let targets: Target[] = []
    await waitUntil(
      async () => {
        const found = await ask<{ activeTargets: Target[] }>('targets?state=active')
        targets = found.activeTargets
        return targets.length >= 7 && targets.every(({ health }) => health === 'up')
      },
      {
        timeoutMs: 90_000,
        get what() {
          return `all targets: ${targets.map(({ labels, lastError }) => `${labels.job} ${lastError}`).join(', ')}`
        },
      },
    )
    const jobs = targets.map(({ labels }) => labels.job).sort()
    expect(jobs).toEqual(['demo', 'gateway', 'gateway', 'nginx', 'prober', 'prometheus', 'publisher'])
  })

  test('Prometheus has loaded all rules, and evaluates them', async () => {
    const named = readdirSync(rules).flatMap((file) =>
      [...readFileSync(join(rules, file), 'utf8').matchAll(/^ *- (?:alert|record): (\S+)/gm)].map(
        ([, name]) => name as string,
      ),
    )
    await waitUntil(
      async () => {
        const { groups } = await ask<{ groups: { rules: { name: string; health: string }[] }[] }>('rules')
        const loaded = groups.flatMap((group) => group.rules)
        expect(loaded.map(({ name }) => name).sort()).toEqual(named.sort())
        return loaded.every(({ health }) => health === 'ok')
      },
      { what: 'all rules to be evaluated', timeoutMs: 60_000 },
    )
  })

  test('neither Prometheus nor Grafana is open to other machines with BIND_ADDRESS', async () => {
    const open = { BIND_ADDRESS: '0.0.0.0', COMPOSE_PROFILES: 'monitoring' }
    const { stdout } = await project.composeWith(open, 'config', '--format', 'json')
    const { services } = JSON.parse(stdout) as {
      services: Record<string, { ports?: { host_ip: string }[] }>
    }
    const addresses = (name: string) => services[name]?.ports?.map(({ host_ip }) => host_ip)
    expect(addresses('nginx')).toEqual(['0.0.0.0', '0.0.0.0'])
    expect(addresses('prometheus')).toEqual(['127.0.0.1'])
    expect(addresses('grafana')).toEqual(['127.0.0.1'])
  })
})
