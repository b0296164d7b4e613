import type { Server } from 'node:http'
import cors from '@fastify/cors'
import type { NatsConnection } from '@nats-io/transport-node'
import { createHttpApp, type HttpApp } from '../common/http-app.ts'
import type { Log } from '../common/log.ts'
import { connectNats } from '../common/nats.ts'
import { serveOperations } from '../common/operations.ts'
import { Problem } from '../common/problem.ts'
import { listOf } from '../common/settings.ts'
import { startTracing, type Tracing } from '../common/tracing.ts'
import type { PublisherSettings } from './config.ts'
import { EventStore } from './event-store.ts'
import { LogWatch } from './log-watch.ts'
import { PublishMetrics } from './metrics.ts'
import { PublishGuard } from './publish-guard.ts'
import { addDocuments } from './routes/documents.ts'
import { addEventsRoute } from './routes/events.ts'

/**
 * The publisher: HTTP in, the log out. The only file that joins its parts.
 *
 * 1. Both ports open at once; events are refused with 503 until the log is open.
 * 2. Run: it is ready whenever the log can be written.
 * 3. `stop` drops readiness, lets requests finish, and lets go of NATS.
 */
export class Publisher {
  private readonly settings: PublisherSettings
  private readonly log: Log
  private readonly metrics = new PublishMetrics()
  private readonly app: HttpApp
  private operations: Server | undefined
  private nats: NatsConnection | undefined
  private watch: LogWatch | undefined
  private store: EventStore | undefined
  private tracing: Tracing | undefined
  private stopping: Promise<void> | undefined

  /** @throws SettingsError when the settings don't fit together. */
  constructor(settings: PublisherSettings, log: Log) {
    this.settings = settings
    this.log = log
    this.app = createHttpApp({
      log,
      maxHeaderBytes: settings.MAX_HEADER_BYTES,
      headersTimeoutMs: settings.HEADERS_TIMEOUT_MS,
      requestTimeoutMs: settings.REQUEST_TIMEOUT_MS,
      keepAliveTimeoutMs: settings.KEEP_ALIVE_TIMEOUT_MS,
    })
  }

  /** Resolves when both ports are open. @throws when a port is taken. */
  async start(): Promise<void> {
    const { HOST, PORT, METRICS_PORT, AUTH_MODE } = this.settings
    if (AUTH_MODE === 'off') this.log.warn('AUTH_MODE=off: anybody may publish to every topic')
    await this.addRoutes()
    this.operations = await serveOperations(HOST, METRICS_PORT, this.metrics.registry, {
      notReady: () => this.notReady(),
    })
    await this.app.listen({ host: HOST, port: PORT })
    this.log.info({ host: HOST, port: PORT, metricsPort: METRICS_PORT }, 'listening')
    await this.openLog()
  }

  /** Resolves when all is closed; in-flight requests get DRAIN_TIMEOUT_MS. */
  stop(): Promise<void> {
    this.stopping ??= this.drainAndClose()
    return this.stopping
  }

  private async drainAndClose(): Promise<void> {
    this.log.info('draining')
    await delay(this.settings.DRAIN_DELAY_MS)
    const cutOff = setTimeout(() => this.app.server.closeAllConnections(), this.settings.DRAIN_TIMEOUT_MS)
    await this.app.close()
    clearTimeout(cutOff)
    this.metrics.log.stop()
    this.watch?.close()
    this.store?.close()
    await this.tracing?.stop()
    await this.nats?.close()
    this.operations?.close()
    this.operations?.closeAllConnections()
    this.log.info('stopped')
  }

  private notReady(): string | undefined {
    if (this.stopping) return 'draining'
    return this.watch ? this.watch.notReady() : 'NATS was not reached yet'
  }

  private async addRoutes(): Promise<void> {
    const { settings, metrics, app } = this
    const guard = new PublishGuard(settings)
    const origins = listOf(settings.CORS_ORIGINS)
    if (origins.length > 0) {
      await app.register(cors, {
        origin: origins.includes('*') ? '*' : origins,
        credentials: !origins.includes('*'),
        methods: ['POST'],
        allowedHeaders: ['authorization', 'content-type', 'idempotency-key'],
        exposedHeaders: ['retry-after'],
        maxAge: 600,
        // Anything else that asks for OPTIONS would get plain text instead of a problem document.
        strictPreflight: false,
      })
    }
    app.addHook('onSend', async (_request, reply) => {
      // Else a connection that was busy when the drain began would be kept open for its next request.
      if (this.stopping) reply.header('connection', 'close')
    })
    await addDocuments(app)
    await app.register(async (scope) => {
      guard.protect(scope as unknown as HttpApp)
      addEventsRoute(scope as unknown as HttpApp, {
        settings,
        metrics,
        store: () => {
          if (this.store) return this.store
          throw new Problem('unavailable', 'Events can’t be stored right now: NATS was not reached yet.')
        },
      })
    })
  }

  private async openLog(): Promise<void> {
    const { settings, metrics, log } = this
    this.nats = await connectNats(settings, 'publisher', log, (connected) =>
      metrics.natsConnected.set(connected ? 1 : 0),
    )
    this.watch = new LogWatch(this.nats, settings, log)
    this.tracing = await startTracing('publisher', settings)
    this.store = new EventStore(this.nats, this.watch, metrics, settings, this.tracing)
    metrics.log.start(this.watch, log)
    await this.watch.start()
    void metrics.log.read(this.watch, log)
    log.info('ready')
  }
}

async function delay(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
}
