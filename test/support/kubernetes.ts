import { setTimeout as sleep } from 'node:timers/promises'
import { currentTarget, type Target } from '../../deploy/kubernetes/target.ts'
import { waitUntil } from './wait.ts'

interface Pod {
  metadata: { name: string; uid: string; deletionTimestamp?: string }
  status: { conditions?: { type: string; status: string }[] }
}

/** A namespace of a real cluster, and what the tests do to it. */
export class KubernetesNamespace {
  readonly target: Target

  private constructor(target: Target) {
    this.target = target
  }

  static async open(name: string): Promise<KubernetesNamespace> {
    return new KubernetesNamespace(await currentTarget({ ...process.env, NAMESPACE: name }))
  }

  kubectl(...args: string[]): Promise<string> {
    return this.target.kubectl(args)
  }

  helm(...args: string[]): Promise<string> {
    return this.target.helm(args)
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.kubectl('get', ...args, '--output', 'json')) as T
  }

  /** Pods with a label, those that are going included. */
  async pods(label: string): Promise<Pod[]> {
    return (await this.json<{ items: Pod[] }>('pods', '--selector', label)).items
  }

  /** Waits until exactly `count` pods are there, ready, and none is going any more. */
  async settled(label: string, count: number, timeoutMs = 240_000): Promise<void> {
    await waitUntil(
      async () => {
        const pods = await this.pods(label)
        return pods.length === count && pods.every(isReady)
      },
      { what: `${count} ready pods with ${label}, and no others`, timeoutMs, intervalMs: 500 },
    )
  }

  /** The address of a node. */
  async node(): Promise<string> {
    const nodes = await this.json<{
      items: { status: { addresses: { type: string; address: string }[] } }[]
    }>('nodes')
    const host = nodes.items[0]?.status.addresses.find(({ type }) => type === 'InternalIP')?.address
    if (!host) throw new Error('No node has an InternalIP')
    return host
  }

  /** Where the node port of a Service is reached. */
  async address(service: string, name = 'http'): Promise<{ host: string; port: number }> {
    const host = await this.node()
    const { spec } = await this.json<{ spec: { ports: { name: string; nodePort?: number }[] } }>(
      'service',
      service,
    )
    const port = spec.ports.find((port) => port.name === name)?.nodePort
    if (!port) throw new Error(`The Service ${service} has no node port for ${name}`)
    return { host, port }
  }

  /** The sum of a metric of a pod over its labels. */
  async metric(pod: string, name: string, port = 9100): Promise<number> {
    const { namespace } = this.target
    const text = await this.kubectl(
      'get',
      '--raw',
      `/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy/metrics`,
    )
    const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))]
    return values.reduce((sum, [, value]) => sum + Number(value), 0)
  }

  /** Evicts a pod as a node drain does: asks until the disruption budget allows it. @returns how often it did not. */
  async evict(pod: string): Promise<number> {
    const { namespace, kubectl } = this.target
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace } }
    const path = `/api/v1/namespaces/${namespace}/pods/${pod}/eviction`
    for (let refused = 0; ; refused++) {
      try {
        await kubectl(['create', '--raw', path, '--filename', '-'], { input: JSON.stringify(body) })
        return refused
      } catch (error) {
        if (!/TooManyRequests|disruption budget/i.test(String(error))) throw error
        await sleep(1_000)
      }
    }
  }

  async delete(): Promise<void> {
    await this.kubectl('delete', 'namespace', this.target.namespace, '--ignore-not-found', '--wait=false')
  }
}

function isReady({ metadata, status }: Pod): boolean {
  return (
    !metadata.deletionTimestamp &&
    status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
  )
}
