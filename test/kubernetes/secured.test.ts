import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deploy } from '../../deploy/kubernetes/deploy.ts'
import { chart, readObjects } from '../support/chart.ts'
import { KubernetesNamespace } from '../support/kubernetes.ts'
import { SseClient } from '../support/sse-client.ts'
import { type KeyPair, newKeyPair, signToken } from '../support/tokens.ts'
import { waitUntil } from '../support/wait.ts'

// All that the chart can start, with TLS, a public key and a NATS user, for real: ci/secured-values.yaml.

const namespace = `sse-cluster-secured-${process.pid}`
const component = (name: string) =>
  `app.kubernetes.io/instance=sse-cluster,app.kubernetes.io/component=${name}`
const natsUser = { user: 'sse', password: 'a-password-of-the-tests' }
let cluster: KubernetesNamespace
let folder: string
let keys: KeyPair

beforeAll(async () => {
  cluster = await KubernetesNamespace.open(namespace)
  folder = await mkdtemp(join(tmpdir(), 'sse-cluster-secured-'))
  keys = await newKeyPair('tests')
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  if (!process.env.KEEP) await cluster.delete()
})

test('make deploy installs it, and helm test, with a token, reads back what it publishes', async () => {
  const { kubectl } = cluster.target
  await kubectl(['create', 'namespace', namespace])
  await natsWithUser()
  await secret('nats', natsUser)
  await secret('jwt', { 'public.pem': keys.publicPem })
  const both = (topic: string) => ({ subscribe: [topic], publish: [topic] })
  await secret('prober', { token: await token(both('probe.sse-cluster')) })
  await secret('demo', { token: await token({ publish: ['demo.>'] }) })
  await secret('helm-test', { token: await token(both('helm-test.*')) })
  await certificate()
  await deploy({
    ...process.env,
    NAMESPACE: namespace,
    RELEASE: 'sse-cluster',
    NATS_URL: 'nats://nats:4222',
    VALUES: join(chart, 'ci/secured-values.yaml'),
  })
})

test.each([
  ['gateway', 2],
  ['publisher', 2],
  ['nginx', 2],
  ['prober', 1],
  ['demo', 1],
])('%s: %i pods are ready', (name, count) => cluster.settled(component(name), count))

test('the prober’s canaries come back, and the demo’s events reach a subscriber', async () => {
  const [prober] = await cluster.pods(component('prober'))
  await waitUntil(
    async () => (await cluster.metric(prober?.metadata.name as string, 'sse_probe_connected')) === 1,
    { what: 'the prober to see its canaries', timeoutMs: 60_000, intervalMs: 500 },
  )
  const { host, port } = await cluster.address('sse-cluster-nginx')
  const headers = { authorization: `Bearer ${await token({ subscribe: ['demo.>'] })}` }
  const client = await SseClient.connect(`http://${host}:${port}`, { topics: ['demo.>'], headers })
  await client.untilCount(1)
  client.close()
})

test('Nginx serves the certificate of the Secret, and HTTP/2', async () => {
  const { host, port } = await cluster.address('sse-cluster-nginx', 'https')
  const ca = await readFile(join(folder, 'tls.crt'))
  const session = connect(`https://${host}:${port}`, { ca })
  const status = await new Promise((resolve, reject) => {
    session.once('error', reject)
    const request = session.request({ ':path': '/v1/events?topic=x' })
    request.once('response', (headers) => resolve(headers[':status']))
  })
  session.destroy()
  expect(status).toBe(401)
})

test('the exporter beside Nginx counts', async () => {
  const [nginx] = await cluster.pods(component('nginx'))
  expect(
    await cluster.metric(nginx?.metadata.name as string, 'nginx_connections_accepted', 9113),
  ).toBeGreaterThan(0)
})

/** The log of nats.yaml, which takes a user and its password only. */
async function natsWithUser(): Promise<void> {
  const objects = readObjects('deploy/kubernetes/nats.yaml')
  const map = objects.find(({ kind }) => kind === 'ConfigMap')
  if (!map?.data) throw new Error('nats.yaml has no ConfigMap')
  map.data['nats.conf'] += `authorization ${JSON.stringify(natsUser)}\n`
  await apply({ apiVersion: 'v1', kind: 'List', items: objects })
  await cluster.kubectl('rollout', 'status', 'statefulset/nats', '--timeout', '5m')
}

async function secret(name: string, stringData: Record<string, string>): Promise<void> {
  await apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData })
}

async function apply(object: unknown): Promise<void> {
  await cluster.target.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(object) })
}

const token = (grants: { subscribe?: string[]; publish?: string[] }) =>
  signToken(keys.privateKey, { ...grants, expiresIn: 3600 })

/** A certificate for the node's address, in the Secret that Nginx reads. */
async function certificate(): Promise<void> {
  const host = await cluster.node()
  const [crt, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  await execa('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=sse-cluster'],
    ...['-addext', `subjectAltName=IP:${host}`, '-out', crt, '-keyout', key],
  ])
  expect(new X509Certificate(await readFile(crt)).checkIP(host)).toBe(host)
  await cluster.kubectl('create', 'secret', 'tls', 'tls', '--cert', crt, '--key', key)
}
