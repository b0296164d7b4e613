import { connect, type Socket } from 'node:net'
import { LogWriter } from './log-writer.ts'
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
const injurySpeed = 30
export const scrapeIntervalMs = 1_000
/** WARM_EVENTS by default: what a gateway reads when it starts. */
const warmEvents = 20_000

export interface WatchedOptions {
  /** Further addresses to scrape, by job. */
  targets?: Record<string, string[]>
}

/**
 * A real cluster under load, with its settings' defaults, prober and exporter, scraped by a real Prometheus with the
 * project's rules.
 */
export class WatchedCluster {
  readonly cluster: WebCluster
  prometheus!: Prometheus
  private readonly targets: Record<string, string[]>
  private prober: Service | undefined
  private exporter!: Awaited<ReturnType<typeof startNginxExporter>>
  private swarm!: Swarm
  private publishing!: SteadyPublisher

  private constructor(cluster: WebCluster, { targets = {} }: WatchedOptions) {
    this.cluster = cluster
    this.targets = targets
  }

  static async start(options: WatchedOptions = {}): Promise<WatchedCluster> {
    const gatewaySettings = { STALL_TIMEOUT_MS: 1_000, DRAIN_WINDOW_MS: 0 }
    const watched = new WatchedCluster(await WebCluster.start({ gatewaySettings }), options)
    await watched.begin()
    return watched
  }

  private async begin(): Promise<void> {
    const { cluster } = this
    this.publishing = new SteadyPublisher(cluster.url, () => 'load.a', 50)
    await this.publishing.more(100)
    // So many that those first ones are in no gateway's memory: whoever asks for them is served from the stream.
    const writer = await LogWriter.connect(cluster.nats.url)
    await writer.numbered(warmEvents, 'old')
    await writer.close()
    for (const index of [0, 1] as const) {
      await cluster.killGateway(index)
      await cluster.startGateway(index)
    }
    this.swarm = new Swarm(Number(new URL(cluster.url).port), 'load.%3E', 60)
    await this.swarm.open()
    await this.startProber()
    this.exporter = await startNginxExporter(cluster.nginx.statusUrl)
    await this.watchAnew()
  }

  /**
   * Has a new Prometheus watch, which knows nothing of what was before, and returns when all is well: streams are open,
   * every target answers, and no alert fires or is about to.
   */
  async watchAnew(speed = injurySpeed): Promise<void> {
    await this.prometheus?.stop()
    await this.swarm.untilOpen()
    await waitUntil(async () => (await this.prober?.metric('sse_probe_connected')) === 1, {
      what: 'the prober to be connected',
      timeoutMs: 60_000,
    })
    const at = (service: Service | undefined) => (service ? [`127.0.0.1:${service.metricsPort}`] : [])
    const { gateways, publisher } = this.cluster
    this.prometheus = await startPrometheus({
      scrapeIntervalMs,
      speed,
      targets: {
        gateway: gateways.flatMap(at),
        publisher: at(publisher),
        prober: at(this.prober),
        nginx: [this.exporter.address],
        ...this.targets,
      },
    })
    await waitUntil(
      async () => {
        const up = await this.prometheus.query('sum(up) == count(up) and on () sum(sse_connections) > 0')
        return up.length > 0 && (await this.prometheus.alerts()).length === 0
      },
      { what: 'every target to answer, and no alert', timeoutMs: 60_000, intervalMs: 500 },
    )
  }

  /** Starts the prober, on its old port when it ran before. */
  private async startProber(): Promise<void> {
    this.prober = await startService('prober', {
      BASE_URL: this.cluster.url,
      PROBE_CERTIFICATE_URL: this.cluster.tlsUrl,
      PROBE_INTERVAL_MS: 200,
      PROBE_RECONNECT_MS: 1_000,
      ...(this.prober ? { METRICS_PORT: this.prober.metricsPort } : {}),
    })
  }

  /** Ends and starts one after another what a rollout replaces, as it does it. */
  async restartOneByOne(): Promise<void> {
    const { cluster } = this
    for (const index of [0, 1] as const) {
      await cluster.gateways[index]?.term()
      await cluster.startGateway(index)
      await this.swarm.untilOpen()
    }
    await cluster.nginx.reload()
    await this.prober?.term()
    await this.startProber()
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

  /** Names of all alerts that this Prometheus has seen fire since its first scrape, and the look at the rules after it. */
  async firedSoFar(): Promise<string[]> {
    // It scrapes for the first time five seconds after it began to look at the rules: until then there is no gateway.
    const scraped = `count(up offset ${2 * scrapeIntervalMs}ms) > 0`
    const fired = `(ALERTS{alertstate="firing"} and on () ${scraped})[1h:${scrapeIntervalMs}ms]`
    const query = `count by (alertname) (count_over_time(${fired}))`
    return (await this.prometheus.query(query)).map(({ labels }) => labels.alertname as string)
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
      if (alert.state === 'firing') seen.set(name, alert)
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
