import {
  type JetStreamAccountStats,
  type JetStreamManager,
  jetstreamManager,
  type StreamInfo,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Log } from '../common/log.ts'
import { openLogStream, renewEpoch, type StreamSettings, streamExists } from '../common/log-stream.ts'
import { formatEventId } from '../contract/event-id.ts'
import { AckError } from './ack-inbox.ts'
import { fitStream } from './stream-config.ts'

export interface WatchSettings extends StreamSettings {
  STREAM_UPDATE: boolean
  ACK_TIMEOUT_MS: number
}

const recreateAfterMs = 1_500
/** Between the two looks that must both find the log rolled back. */
const confirmMs = 1_000

/**
 * Knows which incarnation of the log an acknowledged sequence belongs to, so that the ids given out are true.
 *
 * 1. At start it opens the log, creating it where it is missing, and tries until that works.
 * 2. It looks again whenever something hints at another incarnation: NATS was away, the server announces that
 *    the stream was created, changed or deleted, nobody answered on its subjects, or an acknowledgement carries
 *    a sequence that was given before.
 * 3. While it looks, acknowledgements wait for the answer.
 */
export class LogWatch {
  private readonly connection: NatsConnection
  private readonly settings: WatchSettings
  private readonly log: Log
  private manager: JetStreamManager | undefined
  private info: StreamInfo | undefined
  private epoch: string | undefined
  private away = false
  private closed = false
  private failure = 'the log has not been read yet'
  /** Highest sequence that was acknowledged to this process in this incarnation. */
  private acknowledged = 0
  /** Highest sequence that the log is known to have reached in this incarnation. */
  private reached = 0
  private running: Promise<void> = Promise.resolve()
  private next: Promise<void> | undefined
  private looking = 0
  private missingSince: number | undefined

  constructor(connection: NatsConnection, settings: WatchSettings, log: Log) {
    this.connection = connection
    this.settings = settings
    this.log = log
  }

  async start(): Promise<void> {
    this.manager = await jetstreamManager(this.connection, { checkAPI: false, timeout: 1_000 })
    this.connection.subscribe(`$JS.EVENT.ADVISORY.STREAM.*.${this.settings.STREAM_NAME}`, {
      // A user without the right to read advisories loses only the early hint.
      callback: (error) => {
        if (!error) void this.look()
      },
    })
    void this.followConnection()
    await this.look()
  }

  close(): void {
    this.closed = true
  }

  /** Undefined when events can be stored, else why not. */
  notReady(): string | undefined {
    if (this.away) return 'NATS is away'
    return this.epoch === undefined ? this.failure : undefined
  }

  /** The stream as last looked at. */
  get stream(): StreamInfo | undefined {
    return this.info
  }

  /** The stream as it is now, for the metrics. @throws when JetStream does not answer. */
  async readStream(): Promise<StreamInfo> {
    if (!this.manager || this.away) throw new Error('NATS is away')
    return await this.manager.streams.info(this.settings.STREAM_NAME)
  }

  /**
   * The id of an event that the log acknowledged with `sequence`. At once in the ordinary case, so that a
   * pipelined publish costs no turn of the event loop.
   */
  idOf(sequence: number, duplicate: boolean): string | Promise<string> {
    const news = duplicate || sequence > this.acknowledged
    if (news && this.looking === 0 && this.epoch !== undefined) {
      if (!duplicate) this.note(sequence)
      return formatEventId(this.epoch, sequence)
    }
    return this.idAfterLook(sequence, duplicate)
  }

  /** What JetStream uses for the account, for the metrics. @throws when it does not answer. */
  async readAccount(): Promise<JetStreamAccountStats> {
    if (!this.manager || this.away) throw new Error('NATS is away')
    return await this.manager.getAccountInfo()
  }

  private async idAfterLook(sequence: number, duplicate: boolean): Promise<string> {
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new AckError('timeout', 'the log’s incarnation could not be read')),
        this.settings.ACK_TIMEOUT_MS,
      )
    })
    await Promise.race([this.look(), tooLate]).finally(() => clearTimeout(timer))
    if (!duplicate) this.note(sequence)
    return formatEventId(this.epoch as string, sequence)
  }

  /** Reads the log's state anew. A call during a look starts another: what made it may be younger. */
  look(): Promise<void> {
    if (!this.next) {
      this.looking++
      const look = this.running.then(async () => {
        this.next = undefined
        try {
          await this.lookUntilSeen()
        } finally {
          this.looking--
        }
      })
      this.next = look
      this.running = look
    }
    return this.next
  }

  private note(sequence: number): void {
    if (sequence > this.acknowledged) this.acknowledged = sequence
    if (sequence > this.reached) this.reached = sequence
  }

  private async lookUntilSeen(): Promise<void> {
    while (!this.closed) {
      try {
        await this.lookOnce(this.manager as JetStreamManager)
        return
      } catch (error) {
        const failure = `the log can’t be read: ${error instanceof Error ? error.message : String(error)}`
        if (failure !== this.failure) this.log.warn({ stream: this.settings.STREAM_NAME }, failure)
        this.failure = failure
        await new Promise((resolve) => setTimeout(resolve, 250))
      }
    }
  }

  private async lookOnce(manager: JetStreamManager): Promise<void> {
    const { STREAM_NAME: name } = this.settings
    const reached = this.reached
    if (this.epoch !== undefined) await this.waitForDeletion(manager)
    const rolledBack = () => state.epoch === this.epoch && state.lastSequence < reached
    let state = await openLogStream(manager, this.settings, this.log)
    if (rolledBack()) {
      // Not at the first sight of it: a leader that was just elected may have more to apply.
      await new Promise((resolve) => setTimeout(resolve, confirmMs))
      state = await openLogStream(manager, this.settings, this.log)
    }
    if (rolledBack()) {
      this.log.warn({ stream: name, reached, last: state.lastSequence }, 'the log was rolled back')
      state = await renewEpoch(manager, name, state.epoch)
    }
    const info = await manager.streams.info(name)
    if (this.epoch === undefined) this.info = await fitStream(manager, info, this.settings, this.log)
    else this.info = info
    if (state.epoch !== this.epoch) {
      this.log.info(
        { stream: name, epoch: state.epoch, before: this.epoch, last: state.lastSequence },
        'opened the log',
      )
      this.epoch = state.epoch
      this.acknowledged = 0
      this.reached = 0
    }
    this.reached = Math.max(this.reached, state.lastSequence)
    this.failure = ''
  }

  /**
   * A stream that was deleted under us is created anew only some time later: whoever deleted it may want to do that
   * themselves, and a nats-server that is still removing the old files would take the new ones with them (measured
   * with 2.15.2 on a busy disk: 3 of 31 streams created at once never stored anything again, 0 of 40 after 250 ms).
   *
   * @throws while the stream has not been missing for long enough.
   */
  private async waitForDeletion(manager: JetStreamManager): Promise<void> {
    if (await streamExists(manager, this.settings.STREAM_NAME)) {
      this.missingSince = undefined
      return
    }
    this.missingSince ??= performance.now()
    if (performance.now() - this.missingSince < recreateAfterMs) throw new Error('the stream was deleted')
    this.missingSince = undefined
  }

  private async followConnection(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'disconnect') this.away = true
      if (type === 'reconnect') {
        void this.look().then(() => {
          this.away = false
        })
      }
    }
  }
}
