import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KubernetesNamespace } from '../support/kubernetes.ts'
import { post } from '../support/publish.ts'
import { SseClient } from '../support/sse-client.ts'
import { secret, signToken } from '../support/tokens.ts'

// The rendered manifests with kubectl alone, in a namespace of its own, with tokens.

const root = join(import.meta.dirname, '../..')
const namespace = `sse-cluster-kubectl-${process.pid}`
let cluster: KubernetesNamespace
let folder: string

beforeAll(async () => {
  cluster = await KubernetesNamespace.open(namespace)
  folder = await mkdtemp(join(tmpdir(), 'sse-cluster-overlay-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  if (!process.env.KEEP) await cluster.delete()
})

test('kubectl apply -k brings up an overlay of the base, which takes tokens only', async () => {
  const { kubectl } = cluster.target
  await kubectl(['create', 'namespace', namespace])
  await kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted'])
  await kubectl(['apply', '--filename', join(root, 'deploy/kubernetes/nats.yaml')])
  await kubectl(['create', 'secret', 'generic', 'sse-cluster-jwt', `--from-literal=secret=${secret}`])
  await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(overlay()))
  await kubectl(['apply', '--kustomize', folder])
  for (const name of ['gateway', 'publisher', 'nginx'])
    await kubectl(['rollout', 'status', `deployment/sse-cluster-${name}`, '--timeout', '5m'])

  const { host, port } = await cluster.address('sse-cluster-nginx')
  const url = `http://${host}:${port}`
  const event = { topic: 'kubectl.hello', data: { n: 1 } }
  expect((await post(url, event)).status).toBe(401)
  const token = await signToken(secret, { subscribe: ['kubectl.>'], publish: ['kubectl.>'] })
  const headers = { authorization: `Bearer ${token}` }
  const client = await SseClient.connect(url, { topics: ['kubectl.>'], headers })
  await client.untilFirstBlock()
  const { status, json } = await post(url, event, { headers })
  expect(status).toBe(201)
  await client.untilCount(1)
  client.close()
  expect(client.events[0]?.id).toBe(json.id)
})

test('the example overlay is one that the API server takes, field by field', async () => {
  const dryRun = ['--dry-run=server', '--validate=strict']
  const example = await cluster.kubectl('kustomize', join(root, 'deploy/kubernetes/overlays/example'))
  // The namespace of the example is not there, and a dry run makes none.
  const moved = example.replaceAll('namespace: sse-cluster\n', `namespace: ${namespace}\n`)
  const applied = await cluster.target.kubectl(['apply', ...dryRun, '--filename', '-'], { input: moved })
  expect(applied).toContain('deployment.apps/sse-cluster-gateway')
})

function overlay() {
  const [services, nginx] = [process.env.SERVICES_IMAGE, process.env.NGINX_IMAGE]
  const image = (name: string, reference: string | undefined) => {
    const [, newName, newTag] = /^(.*):([^:/]+)$/.exec(reference ?? '') ?? []
    return newName && newTag ? [{ name, newName, newTag }] : []
  }
  const small = [
    { op: 'replace', path: '/spec/template/spec/containers/0/resources/requests/cpu', value: '50m' },
    { op: 'replace', path: '/spec/replicas', value: 1 },
  ]
  return {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace,
    resources: [relative(folder, join(root, 'deploy/kubernetes/base'))],
    images: [...image('sse-cluster-services', services), ...image('sse-cluster-nginx', nginx)],
    patches: [
      { target: { kind: 'Deployment' }, patch: JSON.stringify(small) },
      {
        target: { kind: 'Service', name: 'sse-cluster-nginx' },
        patch: JSON.stringify([{ op: 'replace', path: '/spec/type', value: 'NodePort' }]),
      },
    ],
  }
}
