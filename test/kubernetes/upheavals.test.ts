import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deploy } from '../../deploy/kubernetes/deploy.ts'
import { undeploy } from '../../deploy/kubernetes/undeploy.ts'
import { chart } from '../support/chart.ts'
import { KubernetesNamespace } from '../support/kubernetes.ts'
import { ReconnectRate } from '../support/reconnect-rate.ts'
import { SteadyPublisher } from '../support/steady-publisher.ts'
import { Swarm } from '../support/swarm.ts'
import { waitUntil } from '../support/wait.ts'

// A real cluster, kubectl's current context, in a namespace of its own. Each test is a row of docs/kubernetes-test.md.
//   SERVICES_IMAGE, NGINX_IMAGE   images that the nodes have or can pull
//   NEXT_SERVICES_IMAGE           what the rolling upgrade goes to: another build (--build-arg VERSION=…), another tag.
//                                 Without it the same image, in new pods, and the table says so
//   CLIENTS, REPORT=file          how many; where to write the table. KEEP=1 leaves all as it is

const values = join(chart, 'ci/small-values.yaml')
const clients = Number(process.env.CLIENTS || 600)
const nextImage = process.env.NEXT_SERVICES_IMAGE
const namespace = `sse-cluster-test-${process.pid}`
const environment = {
  ...process.env,
  NAMESPACE: namespace,
  RELEASE: 'sse-cluster',
  VALUES: values,
  AUTH_MODE: 'off',
}
const label = (component: string) =>
  `app.kubernetes.io/instance=sse-cluster,app.kubernetes.io/component=${component}`

// Of the values file.
const [drainSeconds, maxAgeSeconds, retrySpreadSeconds] = [10, 60, 3.5]
/** Rotation by age is never faster than this: at worst all streams began in one instant. */
const rotation = clients / (maxAgeSeconds / 5)
/** Each client draws its pause by lot, so a second may have more than the mean: three standard deviations. */
const withLuck = (mean: number) => Math.ceil(mean + 3 * Math.sqrt(mean))
const cap = {
  /** A pod that stops ends its streams spread over the drain window. */
  planned: withLuck(rotation + clients / 2 / drainSeconds),
  /** Streams of a pod that dies come back spread over the range of `retry:`. */
  killed: withLuck(rotation + clients / 2 / retrySpreadSeconds),
}

let cluster: KubernetesNamespace
let swarm: Swarm
let publishing: SteadyPublisher
const rows: string[] = []

beforeAll(async () => {
  cluster = await KubernetesNamespace.open(namespace)
})
afterAll(async () => {
  swarm?.close()
  await publishing?.stop()
  if (!process.env.KEEP) await cluster.delete()
})

test('make deploy installs it, helm test reads back what it publishes', async () => {
  const begun = performance.now()
  await deploy(environment)
  await cluster.settled(label('gateway'), 2)
  const seconds = ((performance.now() - begun) / 1000).toFixed(0)
  const { host, port } = await cluster.address('sse-cluster-nginx')
  swarm = new Swarm(port, 'upheaval.%3E', clients, host)
  await swarm.open()
  publishing = new SteadyPublisher(`http://${host}:${port}`, (n) => `upheaval.${n % 7}`, 20)
  await publishing.more(50)
  rows.push(`| install (three NATS servers, two of each) | ${seconds} | | | | | |`)
})

test('scaled from 2 to 4', () =>
  upheaval('scale 2 → 4', cap.planned, async () => {
    await upgrade('gateway.replicas=4')
    await cluster.settled(label('gateway'), 4)
    // Open streams move with their age. Then scaling down takes streams away, and not empty pods.
    await untilSpread(4)
  }))

test('scaled from 4 to 2', () =>
  upheaval('scale 4 → 2', cap.planned, async () => {
    await upgrade('gateway.replicas=2')
    await cluster.settled(label('gateway'), 2)
  }))

test('upgraded to a new image', () =>
  upheaval(
    `rolling upgrade to ${nextImage ? 'a new image' : 'new pods, same image'}`,
    cap.planned,
    async () => {
      const fresh = { gateway: 'gateway.podLabels.upgrade=1', publisher: 'publisher.podLabels.upgrade=1' }
      await upgrade(nextImage ? `images.services=${nextImage}` : `${fresh.gateway},${fresh.publisher}`)
      await cluster.settled(label('gateway'), 2)
      await cluster.settled(label('publisher'), 2)
    },
  ))

test('rolled back', () =>
  upheaval('helm rollback', cap.planned, async () => {
    await cluster.helm('rollback', 'sse-cluster', '--wait', '--timeout', '10m')
    await cluster.settled(label('gateway'), 2)
    await cluster.settled(label('publisher'), 2)
  }))

test.each(['gateway', 'publisher', 'nginx'])('a %s pod deleted by force', (component) =>
  upheaval(`a ${component} pod deleted by force`, cap.killed, async () => {
    const [pod] = await cluster.pods(label(component))
    await cluster.kubectl('delete', 'pod', pod?.metadata.name as string, '--grace-period=0', '--force')
    await cluster.settled(label(component), 2)
  }),
)

test('all pods of the node evicted, as their budgets allow', async () => {
  let refused = 0
  await upheaval('all pods evicted, as a node drain does', cap.planned, async () => {
    for (const name of ['gateway', 'publisher', 'nginx']) {
      for (const pod of await cluster.pods(label(name))) refused += await cluster.evict(pod.metadata.name)
      await cluster.settled(label(name), 2)
    }
  })
  // The second pod of each had to wait for the first one's successor.
  expect(refused).toBeGreaterThan(0)
})

test('NATS servers restarted one by one', () =>
  upheaval('NATS pods restarted one by one', cap.planned, async () => {
    for (const { metadata } of await cluster.pods('app.kubernetes.io/name=nats')) {
      await cluster.kubectl('delete', 'pod', metadata.name)
      await cluster.settled('app.kubernetes.io/name=nats', 3)
    }
  }))

test('Nginx’s configuration changed', () =>
  upheaval('changed Nginx configuration', cap.planned, async () => {
    await upgrade('nginx.settings.NGINX_PUBLISH_BURST=4000')
    // The old ones stay until their last stream has ended by its age.
    await cluster.settled(label('nginx'), 2)
  }))

test('make undeploy takes it away, and leaves the log', async () => {
  const published = await publishing.stop()
  await swarm.untilAll(published)
  swarm.close()
  expect(swarm.ledger()).toMatchObject({
    lost: 0,
    duplicated: 0,
    gaps: 0,
    lowest: published,
    highest: published,
  })
  if (process.env.REPORT) writeFileSync(process.env.REPORT, await report(published))
  if (process.env.KEEP) return
  await undeploy(environment)
  expect(await cluster.pods('app.kubernetes.io/instance=sse-cluster')).toEqual([])
  await cluster.settled('app.kubernetes.io/name=nats', 3)
})

/** Does something to the cluster while events flow, and sees that every client gets each of them once, in order. */
async function upheaval(name: string, most: number, action: () => Promise<void>): Promise<void> {
  const [first, before, begun] = [publishing.last, swarm.ledger(), performance.now()]
  const rate = new ReconnectRate(swarm)
  await publishing.more(20)
  const since = () => ((performance.now() - begun) / 1000).toFixed(0)
  await action()
  const done = since()
  // Whoever connects while the address of a vanished pod is still handed out is answered by nobody, and these clients
  // leave it to Linux to give up, after 127 s (tcp_syn_retries).
  await swarm.untilOpen(undefined, 180_000)
  const open = since()
  await publishing.more(40)
  await swarm.untilAll(publishing.last)
  const seconds = since()
  console.log(
    `${name}: done after ${done} s, all streams open after ${open} s, all events there after ${seconds} s`,
  )
  const { reconnects, mostPerSecond } = rate.stop()
  const ledger = swarm.ledger()
  const verdict = {
    lost: ledger.lost - before.lost,
    'duplicated or out of order': ledger.duplicated - before.duplicated,
    gaps: ledger.gaps - before.gaps,
  }
  const cells = [name, seconds, publishing.last - first, reconnects, `${mostPerSecond} (${most})`]
  rows.push(`| ${[...cells, verdict.lost, verdict['duplicated or out of order']].join(' | ')} |`)
  console.log(rows.at(-1))
  expect(verdict).toEqual({ lost: 0, 'duplicated or out of order': 0, gaps: 0 })
  expect(mostPerSecond).toBeLessThanOrEqual(most)
}

/** Waits until each of the gateways has half of its share of the streams and more. */
async function untilSpread(gateways: number): Promise<void> {
  let open: number[] = []
  await waitUntil(
    async () => {
      const pods = await cluster.pods(label('gateway'))
      open = await Promise.all(pods.map(({ metadata }) => cluster.metric(metadata.name, 'sse_connections')))
      return open.length === gateways && open.every((count) => count > clients / gateways / 2)
    },
    {
      timeoutMs: 240_000,
      intervalMs: 1_000,
      get what() {
        return `streams on all gateways (they have ${open.join(', ')})`
      },
    },
  )
}

async function upgrade(set: string): Promise<void> {
  const wait = ['--wait', '--timeout', '10m']
  await cluster.helm('upgrade', 'sse-cluster', chart, '--reset-then-reuse-values', ...wait, '--set', set)
}

async function report(published: number): Promise<string> {
  const version = JSON.parse(await cluster.kubectl('version', '--output', 'json')) as {
    serverVersion: { gitVersion: string }
  }
  const nodes = await cluster.json<{ items: { status: { nodeInfo: Record<string, string> } }[] }>('nodes')
  const { kernelVersion, containerRuntimeVersion } = nodes.items[0]?.status.nodeInfo ?? {}
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB`
  return `# What the cluster lives through

<!-- Written by \`REPORT=docs/kubernetes-test.md make test-kubernetes\`. -->

${clients} clients, each of which checks every event that it gets, read one topic pattern while ${published} numbered events are published through Nginx, 20 a second, and the cluster goes through all that an operator does to it and some that nobody does on purpose. Clients come back as a native \`EventSource\` does, with their last id and after the time that \`retry:\` tells them.

| upheaval | seconds | events | reconnects | most per second (cap) | lost | duplicated or out of order |
|---|---|---|---|---|---|---|
${rows.join('\n')}

The cap of what is planned is ${cap.planned} a second: the streams of one of two gateways spread over the drain window (${drainSeconds} s), and the rotation by age, which goes on all the time (${maxAgeSeconds} s here instead of 10 min, so that it is part of every row; ${Math.ceil(rotation)} a second at worst). The cap where a pod is deleted by force is ${cap.killed}: half of the streams over the range of \`retry:\`, ${retrySpreadSeconds} s, and the rotation. Both with three standard deviations, since clients draw their pause by lot.

A pod that is deleted by force vanishes before the cluster has forgotten its address: clients that connect in that second are answered by nobody, until their system gives up (127 s with Linux's defaults). They lose nothing, but wait; so a row with such a pod may take minutes.

What drains gracefully here: gateways end their streams over the drain window; Nginx pods that are replaced keep theirs until they end by age, so in those rows the rate is that of the rotation.

Kubernetes ${version.serverVersion.gitVersion}, one node: ${machine}, Linux ${kernelVersion}, ${containerRuntimeVersion}; clients, publisher and cluster share it. Helm ${(await cluster.helm('version', '--short')).trim()}. ${images()} Values: [small-values.yaml](../deploy/helm/sse-cluster/ci/small-values.yaml). ${new Date().toISOString().slice(0, 10)}.
`
}

/** Which images ran: those that were asked for, else the chart's own. */
function images(): string {
  const { SERVICES_IMAGE = 'the chart’s', NGINX_IMAGE = 'the chart’s' } = process.env
  const next = nextImage ? `, upgraded to \`${nextImage}\`` : ''
  return `Images: services \`${SERVICES_IMAGE}\`${next}, Nginx \`${NGINX_IMAGE}\`.`
}
