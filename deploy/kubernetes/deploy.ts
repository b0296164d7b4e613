import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { currentTarget, type Target } from './target.ts'

const here = import.meta.dirname
const chart = join(here, '../helm/sse-cluster')

/**
 * Brings the cluster up in kubectl's current context, or up to date; safe to repeat.
 *
 *   1. namespace   with restricted Pod Security, which everything here fits
 *   2. log         three NATS servers, unless NATS_URL names others
 *   3. key         a Secret with JWT_SECRET, or a random one, unless AUTH_MODE=off or VALUES says otherwise
 *   4. release     `helm upgrade --install --wait`
 *   5. test        `helm test`: publishes an event and reads it back
 *
 * @throws when a step fails, with what the tool said.
 */
export async function deploy(environment: NodeJS.ProcessEnv = process.env): Promise<void> {
  const target = await currentTarget(environment)
  console.log(`deploying to the namespace ${target.namespace} of ${target.context}`)
  await createNamespace(target)
  if (!environment.NATS_URL) await deployLog(target)
  const values = await valueArguments(target, environment)
  console.log('release: gateways, publishers, Nginx')
  const size = environment.TIMEOUT || '10m'
  await target.helm([
    ...['upgrade', '--install', target.release, chart, '--wait', '--timeout', size],
    ...values,
  ])
  console.log('test: publishes an event and reads it back')
  await target.helm(['test', target.release, '--logs'], { stdout: 'inherit', stderr: 'inherit' })
  await target.helm(['get', 'notes', target.release], { stdout: 'inherit' })
}

async function createNamespace({ kubectl, namespace }: Target): Promise<void> {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await apply(kubectl, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } })
}

async function deployLog({ kubectl }: Target): Promise<void> {
  console.log('log: three NATS servers')
  await kubectl(['apply', '--filename', join(here, 'nats.yaml')])
  await kubectl(['rollout', 'status', 'statefulset/nats', '--timeout', '10m'])
}

/** VALUES are files, comma-separated; what the environment says wins over them. */
async function valueArguments(target: Target, environment: NodeJS.ProcessEnv): Promise<string[]> {
  const { SERVICES_IMAGE, NGINX_IMAGE, NATS_URL, AUTH_MODE, JWT_SECRET, VALUES = '' } = environment
  const set: Record<string, string> = {}
  if (SERVICES_IMAGE) set['images.services'] = SERVICES_IMAGE
  if (NGINX_IMAGE) set['images.nginx'] = NGINX_IMAGE
  if (NATS_URL) set['nats.url'] = NATS_URL
  const files = VALUES.split(',').filter((file) => file !== '')
  if (AUTH_MODE === 'off') set['auth.mode'] = 'off'
  else if (JWT_SECRET || files.length === 0) {
    set['auth.secret'] = `${target.release}-jwt`
    set['auth.sharedSecretKey'] = 'secret'
    await createSecret(target, set['auth.secret'], JWT_SECRET)
  }
  return [
    ...Object.entries(set).flatMap(([name, value]) => [
      '--set-string',
      `${name}=${value.replaceAll(',', '\\,')}`,
    ]),
    ...files.flatMap((file) => ['--values', file]),
  ]
}

/** A secret that is there stays, unless another one is given. */
async function createSecret({ kubectl }: Target, name: string, secret: string | undefined): Promise<void> {
  const there = await kubectl(['get', 'secret', name, '--output', 'name', '--ignore-not-found'])
  if (there && !secret) return
  if (!secret) console.log(`key: a random shared secret, in the Secret ${name}`)
  const stringData = { secret: secret ?? randomBytes(48).toString('base64') }
  await apply(kubectl, { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData })
}

async function apply(kubectl: Target['kubectl'], object: unknown): Promise<void> {
  await kubectl(['apply', '--filename', '-'], { input: JSON.stringify(object) })
}
