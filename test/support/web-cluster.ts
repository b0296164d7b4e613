import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type NatsServer, startNatsServer } from './nats-server.ts'
import { type Nginx, startNginx } from './nginx.ts'
import { freePort } from './ports.ts'
import { type Service, startService } from './service.ts'
import { waitUntil } from './wait.ts'

export interface WebClusterOptions {
  /** Settings of both gateways. */
  gatewaySettings?: Record<string, string | number>
  /** Folder that Nginx serves; unless told, one with an empty page. */
  pagesRoot?: string
}

/** What a browser meets: pages and events behind Nginx, two gateways, a publisher and the log. */
export class WebCluster {
  readonly nats: NatsServer
  publisher!: Service
  readonly gateways: Service[] = []
  nginx!: Nginx
  url = ''
  tlsUrl = ''
  private readonly options: WebClusterOptions
  private emptyPages = ''
  private listen: { NGINX_HTTP_LISTEN: string; NGINX_TLS_LISTEN: string } | undefined

  private constructor(nats: NatsServer, options: WebClusterOptions) {
    this.nats = nats
    this.options = options
  }

  static async start(options: WebClusterOptions = {}): Promise<WebCluster> {
    const cluster = new WebCluster(await startNatsServer(), options)
    await cluster.startPublisher()
    await Promise.all([cluster.startGateway(0), cluster.startGateway(1)])
    await cluster.startNginx()
    return cluster
  }

  /** Starts the publisher, on its old port when it ran before. */
  async startPublisher(): Promise<void> {
    this.publisher = await startService('publisher', {
      NATS_URL: this.nats.url,
      ...portsOf(this.publisher),
    })
  }

  /** Starts a gateway, on its old port when it ran before. */
  async startGateway(index: 0 | 1): Promise<void> {
    this.gateways[index] = await startService('gateway', {
      NATS_URL: this.nats.url,
      RETRY_MIN_MS: 50,
      RETRY_MAX_MS: 100,
      ...this.options.gatewaySettings,
      ...portsOf(this.gateways[index]),
    })
  }

  async killGateway(index: 0 | 1): Promise<void> {
    await this.gateways[index]?.kill()
  }

  /** Starts Nginx, on its old ports when it ran before. */
  async startNginx(): Promise<void> {
    const [port, tlsPort] = this.listen ? [0, 0] : [await freePort(), await freePort()]
    if (!this.listen) {
      this.listen = { NGINX_HTTP_LISTEN: `127.0.0.1:${port}`, NGINX_TLS_LISTEN: `127.0.0.1:${tlsPort}` }
      this.url = `http://127.0.0.1:${port}`
      this.tlsUrl = `https://localhost:${tlsPort}`
    }
    this.nginx = await startNginx({
      gateways: this.gateways.map((gateway) => gateway.port),
      publishers: [this.publisher.port],
      variables: { ...this.listen, NGINX_PAGES_ROOT: this.options.pagesRoot ?? (await this.emptyPage()) },
    })
  }

  /** Open streams of each gateway that are at the head of the log. */
  async liveStreams(): Promise<number[]> {
    return await Promise.all(
      this.gateways.map((gateway) => gateway.metric('sse_connections{state="live"}').catch(() => 0)),
    )
  }

  /** Waits until this gateway alone serves `count` streams. */
  async untilServing(index: 0 | 1, count: number): Promise<void> {
    await waitUntil(async () => (await this.liveStreams())[index] === count, {
      what: `gateway ${index} to serve ${count} streams`,
    })
  }

  async stop(): Promise<void> {
    await this.nginx?.stop()
    await Promise.all([...this.gateways, this.publisher].map((service) => service?.kill()))
    await this.nats.stop()
    if (this.emptyPages) await rm(this.emptyPages, { recursive: true, force: true })
  }

  private async emptyPage(): Promise<string> {
    if (!this.emptyPages) {
      this.emptyPages = await mkdtemp(join(tmpdir(), 'sse-cluster-pages-'))
      await writeFile(join(this.emptyPages, 'index.html'), '<!doctype html><title>A page</title>')
    }
    return this.emptyPages
  }
}

function portsOf(before: Service | undefined): Record<string, number> {
  return before ? { PORT: before.port, METRICS_PORT: before.metricsPort } : {}
}
