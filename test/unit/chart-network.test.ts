import { describe, expect, test } from 'vitest'
import { type KubernetesObject, render, whyNoHelm } from '../support/chart.ts'

// What NetworkPolicies let out, by what the values say that pods need.

const obstacle = await whyNoHelm()
if (obstacle) console.log(`chart-network.test.ts: the chart is not rendered here: ${obstacle}`)

interface Rule {
  ports?: { port: number | string; protocol?: string }[]
  to?: { podSelector: { matchLabels: Record<string, string> } }[]
  from?: Rule['to']
}

const part = 'app.kubernetes.io/component'

async function policies(...set: string[]): Promise<KubernetesObject[]> {
  const objects = await render({ set: ['auth.mode=off', ...set] })
  return objects.filter(({ kind }) => kind === 'NetworkPolicy')
}

function rules(objects: KubernetesObject[], name: string, direction: 'egress' | 'ingress'): Rule[] {
  const policy = objects.find(({ metadata }) => metadata.labels?.[part] === name)
  return (policy?.spec?.[direction] ?? []) as Rule[]
}

/** Ports to which a component may connect anywhere, DNS apart. */
const anywhere = (objects: KubernetesObject[], name: string) =>
  rules(objects, name, 'egress')
    .filter(({ to }) => !to)
    .flatMap(({ ports = [] }) => ports.map(({ port }) => port))
    .filter((port) => port !== 53)

/** Ports of the pods of `to` that a component may connect to. */
const between = (objects: KubernetesObject[], name: string, to: string) =>
  rules(objects, name, 'egress')
    .filter((rule) => rule.to?.some(({ podSelector }) => podSelector.matchLabels[part] === to))
    .flatMap(({ ports = [] }) => ports.map(({ port }) => port))

describe.skipIf(obstacle)('pods may reach what the values name', () => {
  test.each([
    [['nats.url=nats://nats:4222'], [4222]],
    [['nats.url=nats://nats'], [4222]],
    [['nats.url=tls://a:5222\\,tls://b:5222\\,c:6222'], [5222, 6222]],
    [['nats.url=nats://nats:4222', 'nats.port=14222'], [14222]],
    [['settings.OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318'], [4222, 4318]],
    [['networkPolicy.egress[0].ports[0].port=5353'], [4222, 5353]],
  ])('%j', async (set, ports) => {
    const objects = await policies(...set)
    expect(anywhere(objects, 'gateway')).toEqual(ports)
    expect(anywhere(objects, 'publisher')).toEqual(ports)
  })

  test.each([
    ['https://login.example.com/jwks', 443],
    ['http://login/jwks', 80],
    ['https://login.example.com:8443/realms/1', 8443],
    ['https://10.1.2.3/jwks', 443],
    ['https://[fd00::1]/jwks', 443],
    ['https://[fd00::1]:8443/jwks', 8443],
  ])('the key set %s', async (url, port) => {
    const objects = await policies('auth.mode=jwt', `auth.jwksUrl=${url}`)
    expect(anywhere(objects, 'gateway')).toEqual([4222, port])
  })

  test('traces of one service alone', async () => {
    const objects = await policies(
      'publisher.settings.OTEL_EXPORTER_OTLP_ENDPOINT=https://traces.example.com',
    )
    expect([anywhere(objects, 'gateway'), anywhere(objects, 'publisher')]).toEqual([[4222], [4222, 443]])
  })

  test('the prober’s front door: Nginx, or the address it is given', async () => {
    const inside = await policies('prober.enabled=true')
    expect([between(inside, 'prober', 'nginx'), anywhere(inside, 'prober')]).toEqual([['http'], []])
    const outside = await policies(
      'prober.enabled=true',
      'prober.settings.BASE_URL=https://events.example.com',
    )
    expect(anywhere(outside, 'prober')).toEqual([443])
    const tls = await policies('prober.enabled=true', 'nginx.tls.secret=tls')
    expect(between(tls, 'prober', 'nginx')).toEqual(['http', 'https'])
  })

  test('the demo’s cluster numbers, also where only some may read metrics', async () => {
    const objects = await policies(
      'demo.enabled=true',
      'prober.enabled=true',
      'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring',
    )
    for (const name of ['gateway', 'publisher', 'prober']) {
      expect(between(objects, 'demo', name)).toContain('metrics')
      const metrics = rules(objects, name, 'ingress').find(({ ports }) => ports?.[0]?.port === 'metrics')
      expect(metrics?.from).toContainEqual({
        podSelector: { matchLabels: expect.objectContaining({ [part]: 'demo' }) },
      })
    }
  })
})
