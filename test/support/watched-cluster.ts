import { connect, type Socket } from 'node:net'
import { type Alert, type Prometheus, startNginxExporter, startPrometheus } from './prometheus.ts'
import { type Service, startService } from './service.ts'
import { SteadyPublisher } from './steady-publisher.ts'
import { Swarm } from './swarm.ts'
import { waitUntil } from './wait.ts'
import { WebCluster } from './web-cluster.ts'

/**
 * Rules run thirty times as fast: ten minutes of production are 20 s here, and the shortest window, two minutes, is
 * 4 s: four scrapes.
 */
const speed = 30
export const scrapeIntervalMs = 1_000

/** Both measure how fast the machine is, and a test machine may be busy with anything. */
const aboutSpeed = ['SseDeliveryBudgetBurn', 'SseEventLoopBlocked']

export interface WatchedOptions {
  /** Further addresses to scrape, by job. */
  targets?: Record<string, string[]>
}

/** A real cluster under load, with prober and exporter, scraped by a real Prometheus with the project's rules. */
export class WatchedCluster {
  readonly cluster: WebCluster
  prometheus!: Prometheus
  private prober!: Service
  private exporter!: Awaited<ReturnType<typeof startNginxExporter>>
  private swarm!: Swarm
  private publishing!: SteadyPublisher

  private constructor(cluster: WebCluster) {
    this.cluster = cluster
  }

  static async start(options: WatchedOptions = {}): Promise<WatchedCluster> {
    const gatewaySettings = { WARM_EVENTS: 0, STALL_TIMEOUT_MS: 1_000, DRAIN_WINDOW_MS: 0 }
    const watched = new WatchedCluster(await WebCluster.start({ gatewaySettings }))
    await watched.begin(options)
    return watched
  }

  private async begin({ targets = {} }: WatchedOptions): Promise<void> {
    const { cluster } = this
    this.publishing = new SteadyPublisher(cluster.url, () => 'load.a', 50)
    await this.publishing.more(100)
    // Without them in memory, so that whoever asks for them is served from the stream.
    for (const index of [0, 1] as const) {
      await cluster.killGateway(index)
      await cluster.startGateway(index)
    }
    this.swarm = new Swarm(Number(new URL(cluster.url).port), 'load.%3E', 60)
    await this.swarm.open()
    this.prober = await startService('prober', {
      BASE_URL: cluster.url,
      PROBE_INTERVAL_MS: 200,
      PROBE_RECONNECT_MS: 1_000,
    })
    this.exporter = await startNginxExporter(cluster.nginx.statusUrl)
    const at = (service: Service) => `127.0.0.1:${service.metricsPort}`
    this.prometheus = await startPrometheus({
      scrapeIntervalMs,
      speed,
      targets: {
        gateway: cluster.gateways.map(at),
        publisher: [at(cluster.publisher)],
        prober: [at(this.prober)],
        nginx: [this.exporter.address],
        ...targets,
      },
    })
  }

  /** Streams from the first event on, served from JetStream. Each ends when it is live. */
  async replay(): Promise<void> {
    for (const gateway of this.cluster.gateways)
      await readUntilLive(gateway.port, '/v1/events?topic=load.a&since=all')
  }

  /** Waits until these alerts have fired, and returns all that fired until then and a while after. */
  async firedUntil(names: string[]): Promise<{ names: string[]; alerts: Alert[] }> {
    return await firedUntil(this.prometheus, names)
  }

  /** Waits until all streams are open, and nothing fires or is about to. */
  async untilQuiet(): Promise<void> {
    await this.swarm.untilOpen()
    let active: string[] = []
    await waitUntil(
      async () => {
        const names = (await this.prometheus.alerts()).map(({ labels }) => labels.alertname as string)
        active = names.filter((name) => !aboutSpeed.includes(name))
        return active.length === 0
      },
      { what: 'all alerts to end', timeoutMs: 150_000, intervalMs: 500 },
    ).catch((cause) => {
      throw new Error(`These alerts do not end: ${active}`, { cause })
    })
  }

  /** Streams of a topic whose clients never read. @returns how to end them. */
  async stuckReaders(count: number, topic: string): Promise<() => void> {
    const port = (this.cluster.gateways[0] as Service).port
    const sockets: Socket[] = []
    for (let i = 0; i < count; i++) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(`GET /v1/events?topic=${topic} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n`)
      await new Promise((resolve) => socket.once('readable', resolve))
      sockets.push(socket)
    }
    return () => {
      for (const socket of sockets) socket.destroy()
    }
  }

  async stop(): Promise<void> {
    await this.publishing?.stop().catch(() => undefined)
    this.swarm?.close()
    await this.prometheus?.stop()
    await this.exporter?.stop()
    await this.prober?.kill()
    await this.cluster.stop()
  }
}

/** Waits until these alerts have fired, and returns all that fired until then and for `furtherMs` after. */
export async function firedUntil(
  prometheus: Prometheus,
  names: string[],
  furtherMs = 5_000,
): Promise<{ names: string[]; alerts: Alert[] }> {
  const seen = new Map<string, Alert>()
  const look = async () => {
    for (const alert of await prometheus.alerts()) {
      const name = alert.labels.alertname as string
      if (alert.state === 'firing' && !aboutSpeed.includes(name)) seen.set(name, alert)
    }
  }
  await waitUntil(
    async () => {
      await look()
      return names.every((name) => seen.has(name))
    },
    { what: `${names} to fire`, timeoutMs: 90_000, intervalMs: 250 },
  ).catch((cause) => {
    throw new Error(`Of ${names} only these have fired: ${[...seen.keys()]}`, { cause })
  })
  const end = performance.now() + furtherMs
  await waitUntil(
    async () => {
      await look()
      return performance.now() > end
    },
    { what: 'the rest of the time', timeoutMs: furtherMs + 10_000, intervalMs: 250 },
  )
  return { names: [...seen.keys()].sort(), alerts: [...seen.values()] }
}

/** Reads a stream until it says `$live`. */
async function readUntilLive(port: number, path: string): Promise<void> {
  const end = new AbortController()
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { accept: 'text/event-stream' },
    signal: AbortSignal.any([end.signal, AbortSignal.timeout(10_000)]),
  })
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of answer.body ?? []) {
    text = text.slice(-100) + decoder.decode(chunk, { stream: true })
    if (text.includes('event: $live')) break
  }
  end.abort()
}
