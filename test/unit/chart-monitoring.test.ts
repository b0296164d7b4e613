import { beforeAll, describe, expect, test } from 'vitest'
import { component, type KubernetesObject, render, whyNoHelm } from '../support/chart.ts'

const obstacle = await whyNoHelm()
if (obstacle) console.log(`chart-monitoring.test.ts: the chart is not rendered here: ${obstacle}`)

describe.skipIf(obstacle)('the chart, watched by the Prometheus operator', () => {
  let objects: KubernetesObject[]
  beforeAll(async () => {
    const monitoring = [
      'serviceMonitor=true',
      'prometheusRule=true',
      'runbooksUrl=https://example.com/repository/',
    ]
    objects = await render({
      set: [
        ...['auth.mode=off', 'prober.enabled=true', 'nginx.exporter.enabled=true', 'nginx.tls.secret=tls'],
        ...monitoring.map((value) => `monitoring.${value}`),
      ],
    })
  })

  const monitorsOf = (kind: string, name: string) =>
    objects.filter((object) => object.kind === kind && object.metadata.name.endsWith(name))

  test('a gateway that drains is still scraped: its pod is, not its Service', () => {
    expect(monitorsOf('ServiceMonitor', '-gateway')).toEqual([])
    const [monitor] = monitorsOf('PodMonitor', '-gateway')
    expect(monitor?.spec).toMatchObject({
      jobLabel: 'app.kubernetes.io/component',
      podMetricsEndpoints: [{ port: 'metrics' }],
    })
    expect(JSON.stringify(monitor)).not.toContain('pod_ready')
  })

  test('an Nginx that drains is not: its exporter has ended', () => {
    const keepReady = { sourceLabels: ['__meta_kubernetes_pod_ready'], regex: 'true', action: 'keep' }
    expect(monitorsOf('PodMonitor', '-nginx')[0]?.spec).toMatchObject({
      podMetricsEndpoints: [{ relabelings: [keepReady] }],
    })
  })

  test('every alert leads to its runbook where the repository is kept', () => {
    const rules = JSON.stringify(objects.filter(({ kind }) => kind === 'PrometheusRule'))
    const links = [...rules.matchAll(/"runbook_url":"([^"]*)"/g)].map(([, link]) => link)
    expect(links.length).toBeGreaterThan(20)
    for (const link of links)
      expect(link).toMatch(/^https:\/\/example\.com\/repository\/docs\/runbooks\/Sse\w+\.md$/)
  })

  test('the prober watches the certificate that Nginx serves, and may reach it', () => {
    const { PROBE_CERTIFICATE_URL: url } = component(objects, 'prober').environment
    const nginx = objects.find(({ kind, metadata }) => kind === 'Service' && metadata.name.endsWith('-nginx'))
    expect(url).toBe(`https://${nginx?.metadata.name}:443`)
    const policy = objects.find(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name.endsWith('-prober'),
    )
    expect(JSON.stringify(policy?.spec?.egress)).toContain('"port":"https"')
  })
})
