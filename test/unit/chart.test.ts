import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import { findHelm3 } from '../../deploy/kubernetes/helm.ts'
import { readSettings } from '../../services/common/settings.ts'
import { demoSettings } from '../../services/demo/config.ts'
import { readGatewaySettings } from '../../services/gateway/config.ts'
import { gatewayNodeOptions } from '../../services/gateway/node-options.ts'
import { readProberSettings } from '../../services/prober/config.ts'
import { readPublisherSettings } from '../../services/publisher/config.ts'
import {
  component,
  type KubernetesObject,
  podOf,
  readObjects,
  refusal,
  render,
  valuesFiles,
  whyNoHelm,
} from '../support/chart.ts'
import { schemaFaults, unknownFields } from '../support/kubernetes-schema.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

const obstacle = await whyNoHelm()
if (obstacle) console.log(`chart.test.ts: the chart is not rendered here: ${obstacle}`)

/** Nginx ends a stream that is silent for this long. */
const readTimeoutMs = Number(/proxy_read_timeout (\d+)s/.exec(read('nginx/stream.conf.template'))?.[1]) * 1000

describe.skipIf(obstacle).each(valuesFiles)('the chart with $name', ({ path }) => {
  let objects: KubernetesObject[]
  beforeAll(async () => {
    objects = await render({ file: path })
  })

  test('every object is one that Kubernetes knows, field by field', async () => {
    const faults = await Promise.all(objects.map(schemaFaults))
    expect(faults.flat()).toEqual([])
    expect(await unknownFields(objects)).toBe('')
  })

  test('every service starts with the settings that it is given', () => {
    const gateway = readGatewaySettings(component(objects, 'gateway').environment)
    const publisher = readPublisherSettings(component(objects, 'publisher').environment)
    expect(gateway.STREAM_REPLICAS).toBe(publisher.STREAM_REPLICAS)
    if (has(objects, 'prober')) readProberSettings(component(objects, 'prober').environment)
    if (has(objects, 'demo')) {
      const demo = readSettings(demoSettings, component(objects, 'demo').environment)
      // The defaults are those of one machine.
      expect(JSON.stringify(demo)).not.toContain('127.0.0.1')
    }
    expect(component(objects, 'gateway').container.args).toEqual([
      ...gatewayNodeOptions,
      'services/gateway/main.ts',
    ])
  })

  test('a pod’s grace is longer than its preStop and its drain', () => {
    const gateway = component(objects, 'gateway')
    const drainMs = readGatewaySettings(gateway.environment).DRAIN_WINDOW_MS
    expect(gateway.pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(
      preStop(gateway) + drainMs / 1000 + 15,
    )
    const publisher = component(objects, 'publisher')
    const { DRAIN_TIMEOUT_MS, DRAIN_DELAY_MS } = readPublisherSettings(publisher.environment)
    expect(publisher.pod.terminationGracePeriodSeconds).toBeGreaterThan(
      preStop(publisher) + (DRAIN_TIMEOUT_MS + DRAIN_DELAY_MS) / 1000,
    )
    const nginx = component(objects, 'nginx')
    const wait = Number(
      /sleep (\d+); kill -QUIT 1/.exec(nginx.container.lifecycle?.preStop.exec?.command[2] ?? '')?.[1],
    )
    expect(nginx.pod.terminationGracePeriodSeconds).toBeGreaterThan(wait + shutdownSeconds(nginx.environment))
  })

  test('streams end by their age before an Nginx that goes would cut them', () => {
    const { MAX_AGE_MS } = readGatewaySettings(component(objects, 'gateway').environment)
    expect(shutdownSeconds(component(objects, 'nginx').environment) * 1000).toBeGreaterThan(MAX_AGE_MS)
  })

  test('two heartbeats fit into Nginx’s read timeout', () => {
    const { HEARTBEAT_INTERVAL_MS } = readGatewaySettings(component(objects, 'gateway').environment)
    expect(HEARTBEAT_INTERVAL_MS * 2).toBeLessThan(readTimeoutMs)
  })

  test('Nginx has more descriptors than connections, and variables that its image knows', () => {
    const { environment } = component(objects, 'nginx')
    expect(Number(environment.NGINX_WORKER_RLIMIT_NOFILE)).toBeGreaterThan(
      Number(environment.NGINX_WORKER_CONNECTIONS),
    )
    const known = `${read('nginx/defaults.env')}${read('deploy/images/nginx-entrypoint.sh')}`
    for (const name of Object.keys(environment).filter((name) => name.startsWith('NGINX_')))
      expect(known).toMatch(new RegExp(`^${name}=|\\$\\{${name}:-`, 'm'))
  })

  test('every pod may do no more than restricted Pod Security allows, and has no token', () => {
    for (const object of objects) {
      const pod = podOf(object)
      if (!pod) continue
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      })
      for (const container of pod.containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
        expect(container.resources).toMatchObject({
          requests: { cpu: expect.any(String), memory: expect.any(String) },
          limits: { memory: expect.any(String) },
        })
        expect(container.image).toMatch(/:[^/]+$/)
      }
    }
  })

  test('no pod goes before its successor has been ready for a while, and each has a budget', () => {
    for (const name of ['gateway', 'publisher', 'nginx']) {
      const { deployment } = component(objects, name)
      expect(deployment.spec).toMatchObject({
        strategy: { rollingUpdate: { maxUnavailable: 0 } },
        minReadySeconds: expect.any(Number),
      })
      const { minReadySeconds, progressDeadlineSeconds } = deployment.spec ?? {}
      expect(Number(progressDeadlineSeconds)).toBeGreaterThan(Number(minReadySeconds))
      const budget = objects.find(
        (object) =>
          object.kind === 'PodDisruptionBudget' && object.metadata.name === deployment.metadata.name,
      )
      expect(budget?.spec?.selector).toEqual(deployment.spec?.selector)
    }
  })
})

describe.skipIf(obstacle)('values that can’t be right stop the installation, and say why', () => {
  test.each([
    ['gateway.setings.MAX_TOPICS=3', /setings/],
    ['gateway.settings.MAX_TOPIC=3', /MAX_TOPIC/],
    ['gateway.settings.HEARTBEAT_INTERVAL_MS=50', /HEARTBEAT_INTERVAL_MS.*100/s],
    ['gateway.settings.HEARTBEAT_INTERVAL_MS=40000', /below half/],
    ['gateway.settings.NATS_URL=x', /NATS_URL/],
    ['gateway.terminationGracePeriodSeconds=30', /gateway\.terminationGracePeriodSeconds is 30.*need 40/],
    ['publisher.terminationGracePeriodSeconds=12', /publisher\.terminationGracePeriodSeconds is 12/],
    ['nginx.terminationGracePeriodSeconds=100', /nginx\.terminationGracePeriodSeconds is 100/],
    ['gateway.settings.MAX_CONNECTIONS=65500', /MAX_CONNECTIONS is 65500.*descriptors/],
    ['nginx.workerConnections=65500', /workerDescriptors/],
    ['descriptors=30000', /workerDescriptors/],
    ['nginx.shutdownSeconds=600', /MAX_AGE_MS/],
    ['gateway.minReadySeconds=5', /drain window/],
    ['gateway.autoscaling.connectionsPerPod=20000', /never scale up/],
    ['gateway.autoscaling.type=vpa', /type/],
    ['images.pullPolicy=Sometimes', /pullPolicy/],
    ['nats.url=http://nats', /url/],
    ['nats.userKey=user', /nats\.secret/],
    ['auth.mode=jwt', /auth\.jwksUrl/],
    ['auth.mode=jwt,auth.secret=s,auth.sharedSecretKey=k,auth.caKey=ca.crt', /auth\.caKey/],
    ['ingress.enabled=true', /ingress\.host/],
    ['httpRoute.enabled=true', /httpRoute\.parentRefs/],
  ])('%s', async (set, reason) => {
    expect(await refusal([set])).toMatch(reason)
  })

  test('and with values that are right it does not stop', async () => {
    expect(await refusal([])).toBe('')
  })
})

const helm3 = await findHelm3()
if (!helm3) console.log('chart.test.ts: Helm 3 is not installed (`HELM_3=1 npm run tools`): not compared')

test.skipIf(obstacle || !helm3).each(valuesFiles)(
  'Helm 3 and Helm 4 make the same of $name',
  async ({ path }) => {
    const byName = (objects: KubernetesObject[]) =>
      Object.fromEntries(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]))
    const three = await render({ file: path, helm: helm3 })
    expect(byName(three)).toEqual(byName(await render({ file: path })))
  },
)

test('NATS’s own manifests are ones that Kubernetes knows', async () => {
  const objects = readObjects('deploy/kubernetes/nats.yaml')
  expect(objects.map((object) => object.kind)).toContain('StatefulSet')
  expect((await Promise.all(objects.map(schemaFaults))).flat()).toEqual([])
  expect(await unknownFields(objects)).toBe('')
})

test('the schema checks can fail', async () => {
  const [object] = readObjects('deploy/kubernetes/nats.yaml').filter(({ kind }) => kind === 'StatefulSet')
  const spec = { ...object?.spec, replicas: 'three' }
  expect(await schemaFaults({ ...object, spec } as KubernetesObject)).not.toEqual([])
  expect(
    await unknownFields([{ ...object, spec: { ...object?.spec, replica: 3 } } as KubernetesObject]),
  ).toMatch(/replica/)
})

test('what is made from the chart is up to date', async () => {
  const { exitCode, all } = await execa(
    process.execPath,
    [join(root, 'deploy/kubernetes/manifests.ts'), '--check'],
    { reject: false, all: true },
  )
  expect([exitCode, all]).toEqual([0, expect.any(String)])
})

function has(objects: KubernetesObject[], name: string): boolean {
  return objects.some(
    ({ kind, metadata }) =>
      kind === 'Deployment' && metadata.labels?.['app.kubernetes.io/component'] === name,
  )
}

function preStop({ container }: ReturnType<typeof component>): number {
  return container.lifecycle?.preStop.sleep?.seconds ?? Number.NaN
}

function shutdownSeconds(environment: Record<string, string | undefined>): number {
  return Number(/^(\d+)s$/.exec(environment.NGINX_WORKER_SHUTDOWN_TIMEOUT ?? '')?.[1])
}
