import { LogWriter } from './log-writer.ts'
import { type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server.ts'
import { type Service, type StartOptions, startService } from './service.ts'
import { SseClient, type SseOptions } from './sse-client.ts'

/** One log, gateways that read it, and clients that check what they get. */
export class Lab {
  readonly nats: NatsServer
  private readonly services: Service[] = []
  private readonly writers: LogWriter[] = []
  private clients: SseClient[] = []

  private constructor(nats: NatsServer) {
    this.nats = nats
  }

  static async start(options: NatsServerOptions = {}): Promise<Lab> {
    return new Lab(await startNatsServer(options))
  }

  /** A gateway with these settings, quick to drain. */
  async gateway(env: Record<string, string | number> = {}, options: StartOptions = {}): Promise<Service> {
    const service = await startService(
      'gateway',
      { NATS_URL: this.nats.url, DRAIN_WINDOW_MS: 0, RETRY_MIN_MS: 50, RETRY_MAX_MS: 100, ...env },
      options,
    )
    this.services.push(service)
    return service
  }

  async writer(): Promise<LogWriter> {
    const writer = await LogWriter.connect(this.nats.url)
    this.writers.push(writer)
    return writer
  }

  async client(gateway: Service, options: SseOptions): Promise<SseClient> {
    const client = await SseClient.connect(gateway.url, options)
    this.clients.push(client)
    return client
  }

  /** A client whose first block has come: it gets every event from now on. */
  async liveClient(gateway: Service, topics: string[]): Promise<SseClient> {
    const client = await this.client(gateway, { topics })
    await client.untilFirstBlock()
    return client
  }

  /** Closes the clients so far and returns what was wrong with any of them. */
  endClients(): string[] {
    const faults = this.clients.flatMap((client) => client.faults)
    for (const client of this.clients) client.close()
    this.clients = []
    return faults
  }

  /** Names of the stream's consumers, by the server's monitor. */
  async consumers(stream = 'EVENTS'): Promise<string[]> {
    const answer = await fetch(`${this.nats.monitorUrl}/jsz?consumers=1`)
    const { account_details: accounts } = (await answer.json()) as {
      account_details?: { stream_detail?: { name: string; consumer_detail?: { name: string }[] }[] }[]
    }
    const streams = accounts?.flatMap((account) => account.stream_detail ?? []) ?? []
    const details = streams.find((candidate) => candidate.name === stream)?.consumer_detail ?? []
    return details.map((consumer) => consumer.name)
  }

  async stop(): Promise<void> {
    this.endClients()
    await Promise.all(this.writers.map((writer) => writer.close()))
    await Promise.all(this.services.map((service) => service.kill()))
    await this.nats.stop()
  }
}
