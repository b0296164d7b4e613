import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { parseAllDocuments } from 'yaml'
import { findHelm } from '../../deploy/kubernetes/helm.ts'

const root = join(import.meta.dirname, '../..')
export const chart = join(root, 'deploy/helm/sse-cluster')

/** A Kubernetes object, as far as the tests look into it. */
export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: { name: string; labels?: Record<string, string>; annotations?: Record<string, string> }
  spec?: Record<string, unknown>
  data?: Record<string, string>
}

export interface Container {
  name: string
  image: string
  args?: string[]
  env?: { name: string; value?: string; valueFrom?: unknown }[]
  ports?: { name: string; containerPort: number }[]
  lifecycle?: { preStop: { sleep?: { seconds: number }; exec?: { command: string[] } } }
  resources: { requests?: Record<string, string>; limits?: Record<string, string> }
  securityContext: Record<string, unknown>
}

export interface PodSpec {
  automountServiceAccountToken: boolean
  enableServiceLinks: boolean
  terminationGracePeriodSeconds: number
  securityContext: Record<string, unknown>
  containers: Container[]
}

/** Why charts can't be rendered here; undefined where they can. */
export async function whyNoHelm(): Promise<string | undefined> {
  if (await findHelm()) return undefined
  return 'helm is not installed (`npm run tools` installs it where Go is)'
}

/** The values files that the tests try the chart with. */
export const valuesFiles = readdirSync(join(chart, 'ci')).map((name) => ({
  name,
  path: join(chart, 'ci', name),
}))

interface Values {
  file?: string
  /** On the command line: `name=value`. */
  set?: string[]
  /** The program; whichever is found unless told. */
  helm?: string | undefined
}

/** Renders the chart. @throws with what helm says when it refuses the values. */
export async function render(values: Values): Promise<KubernetesObject[]> {
  const { failed, stdout, stderr } = await template(values)
  if (failed) throw new Error(stderr)
  return parseObjects(stdout)
}

/** What helm says to values that it refuses; empty when it does not refuse them. */
export async function refusal(set: string[]): Promise<string> {
  const { failed, stderr } = await template({ set: ['auth.mode=off', ...set] })
  return failed ? stderr : ''
}

async function template({ file, set = [], helm }: Values) {
  const { failed, stdout, stderr } = await execa(
    helm ?? (await findHelm()) ?? 'helm',
    [
      // A Helm that Go built without its release's flags takes the cluster for an old one.
      ...['template', 'test', chart, '--namespace', 'events', '--kube-version', '1.30.0'],
      ...(file ? ['--values', file] : []),
      ...set.flatMap((value) => ['--set', value]),
    ],
    { reject: false },
  )
  return { failed, stdout: String(stdout), stderr: String(stderr) }
}

export function parseObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text)
    .map((document) => document.toJSON() as KubernetesObject | null)
    .filter((object) => object !== null)
}

export const readObjects = (path: string) => parseObjects(readFileSync(join(root, path), 'utf8'))

/** The pods that an object makes. */
export function podOf(object: KubernetesObject): PodSpec | undefined {
  if (object.kind === 'Pod') return object.spec as unknown as PodSpec
  const template = object.spec?.template as { spec: PodSpec } | undefined
  return template?.spec?.containers ? template.spec : undefined
}

/** The container of a component, and the pod that it is in. */
export function component(objects: KubernetesObject[], name: string) {
  const deployment = objects.find(
    (object) =>
      object.kind === 'Deployment' && object.metadata.labels?.['app.kubernetes.io/component'] === name,
  )
  const pod = deployment && podOf(deployment)
  const container = pod?.containers.find((one) => one.name === name)
  if (!deployment || !pod || !container) throw new Error(`There is no ${name}`)
  const environment = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]))
  return { deployment, pod, container, environment }
}
