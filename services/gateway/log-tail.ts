import type { JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Log } from '../common/log.ts'
import {
  isStreamMissing,
  type LogState,
  openLogStream,
  readLogState,
  renewEpoch,
  type StreamSettings,
} from '../common/log-stream.ts'
import { LogReader } from './log-reader.ts'
import type { LogEvent } from './sse-frame.ts'

/** Why the tail does not go on where it stopped. `first`: this pod has only just begun to read. */
export type RestartReason = 'first' | 'reset' | 'expired'

export interface LogTailOptions {
  nats: NatsConnection
  manager: JetStreamManager
  settings: StreamSettings
  /** At start, read this many events back from the head, so that clients of another pod resume from memory. */
  warmEvents: number
  log: Log
  /** Events come after `position` from now on, under this epoch; comes before the first of them. */
  onRestart: (reason: RestartReason, epoch: string, position: number) => void
  onEvent: (event: LogEvent) => void
}

/** Events that may be on the way from the server: bounds what a busy pod has to take in at once. */
const window = 4_096
const retryMs = 250
const missingStreamPatienceMs = 10_000
/** Between the two looks that must both find the log rolled back. */
const confirmMs = 1_000
/** How often the log’s epoch is looked at: another pod may have found it rolled back and renewed it. */
const checkMs = 5_000

/**
 * The pod's one reader of the log.
 *
 *   1. look     read the log's state: is it the log that we know, with the last event that we read where it was,
 *               and does it still have what comes next?
 *   2. restart  if not, say so: another epoch is a reset, a hole before the first kept event is an expiry
 *   3. open     a reader behind the last event that we have
 *   4. follow   until the reader is lost or NATS reconnects; then look again
 *
 * It never waits for a reader to mend itself: a new consumer at an explicit sequence is cheap and always right.
 */
export class LogTail {
  /** The newest sequence read. */
  position = 0
  epoch = ''
  /** True while a reader is open and has caught up once since this process began. */
  ready = false
  /** Milliseconds, `performance.now()`, since when the log can't be followed; undefined while it is. */
  lostSince: number | undefined = performance.now()
  reopened = 0
  /** When the log stored the event at `position`, milliseconds since 1970; undefined when this pod has not read it. */
  positionTimeMs: number | undefined
  private readonly options: LogTailOptions
  private reader: LogReader | undefined
  private readUpTo = Number.POSITIVE_INFINITY
  private checks: NodeJS.Timeout | undefined
  private paused = false
  private stopped = false
  private opening = false
  private missingSince: number | undefined
  private reconnects = 0
  /** Events that wait for a hole before them to be checked. */
  private held: LogEvent[] | undefined

  constructor(options: LogTailOptions) {
    this.options = options
  }

  /** Begins to read; returns at once. */
  start(): void {
    void this.reopen('start')
    void this.reopenOnReconnect()
    this.checks = setInterval(() => void this.check(), checkMs)
  }

  stop(): void {
    this.stopped = true
    clearInterval(this.checks)
    this.reader?.close()
  }

  /** Events that the log has beyond what this pod has read. */
  get lag(): number {
    return this.reader?.pending ?? 0
  }

  /** Asks for no more events until `unpause`: the pod has more to send than it can. */
  pause(): void {
    this.paused = true
  }

  unpause(): void {
    if (!this.paused) return
    this.paused = false
    this.request()
  }

  /** Begins anew when the log has another epoch than the one that is followed; nothing else would tell. */
  async check(): Promise<void> {
    if (this.opening || this.stopped || this.epoch === '') return
    try {
      const { epoch } = await readLogState(this.options.manager, this.options.settings.STREAM_NAME)
      if (epoch !== this.epoch) void this.reopen('another epoch')
    } catch {
      // The reader notices that NATS is away, and says so.
    }
  }

  private async reopenOnReconnect(): Promise<void> {
    for await (const status of this.options.nats.status()) {
      if (this.stopped) return
      if (status.type === 'disconnect') this.lostSince ??= performance.now()
      // Consumers in memory do not survive a server's restart, and messages on the way are gone with the link.
      if (status.type === 'reconnect') {
        this.reconnects++
        void this.reopen('reconnected')
      }
    }
  }

  private async reopen(cause: string): Promise<void> {
    if (this.opening || this.stopped) return
    this.opening = true
    this.lostSince ??= performance.now()
    this.reader?.close()
    this.reader = undefined
    this.held = undefined
    while (!this.stopped) {
      try {
        await this.open()
        this.reopened++
        this.options.log.info({ cause, position: this.position, epoch: this.epoch }, 'following the log')
        break
      } catch (error) {
        this.options.log.warn({ cause, error: String(error) }, 'the log can’t be followed yet; trying again')
        await new Promise((resolve) => setTimeout(resolve, retryMs))
      }
    }
    this.opening = false
  }

  private async open(): Promise<void> {
    const { reconnects } = this
    const state = await this.look()
    this.restartIfNeeded(state)
    this.readUpTo = state.lastSequence
    let reader: LogReader | undefined
    reader = await LogReader.open({
      nats: this.options.nats,
      manager: this.options.manager,
      stream: this.options.settings.STREAM_NAME,
      name: 'gateway-tail',
      afterSequence: this.position,
      expiresMs: 30_000,
      requestBytes: 8 * 1_048_576,
      onEvent: (event) => this.take(event),
      onRequestEnd: () => this.request(),
      onLost: (reason, detail) => {
        if (this.reader !== reader) return
        this.options.log.warn({ reason, detail }, 'lost the log tail')
        void this.reopen(reason)
      },
    })
    if (this.stopped || reconnects !== this.reconnects) {
      reader.close()
      throw new Error('NATS reconnected meanwhile')
    }
    this.reader = reader
    this.request()
    this.noteProgress()
  }

  private async look(): Promise<LogState> {
    const { manager, settings, log } = this.options
    if (this.epoch === '') return await openLogStream(manager, settings, log)
    let state = await this.readState()
    if (!(await this.rolledBack(state))) return state
    // Not at the first sight of it: a leader that was just elected may have more to apply.
    await new Promise((resolve) => setTimeout(resolve, confirmMs))
    state = await this.readState()
    if (!(await this.rolledBack(state))) return state
    log.error(
      { read: this.position, last: state.lastSequence },
      'the log was rolled back; it gets a new epoch',
    )
    return await renewEpoch(manager, settings.STREAM_NAME, this.epoch)
  }

  /** The log's state; of a log that has been missing for long, or whose epoch is another one, after opening it. */
  private async readState(): Promise<LogState> {
    const { manager, settings, log } = this.options
    try {
      const missing = this.missingTooLong()
      const state = missing ? undefined : await readLogState(manager, settings.STREAM_NAME)
      // Who recreates a stream by hand gives it no epoch; opening writes one.
      const opened = state?.epoch === this.epoch ? state : await openLogStream(manager, settings, log)
      this.missingSince = undefined
      return opened
    } catch (error) {
      if (isStreamMissing(error)) this.missingSince ??= performance.now()
      throw error
    }
  }

  /** A log that was rolled back may have grown past our position since: then another event stands there. */
  private async rolledBack(state: LogState): Promise<boolean> {
    if (state.epoch !== this.epoch) return false
    if (state.lastSequence < this.position) return true
    if (this.positionTimeMs === undefined || state.firstSequence > this.position) return false
    const { manager, settings } = this.options
    const event = await manager.streams.getMessage(settings.STREAM_NAME, { seq: this.position })
    // A millisecond of room for how the two times are rounded.
    return event !== null && Math.abs(event.time.getTime() - this.positionTimeMs) > 1
  }

  /** Whoever deleted the stream is given time to create it as they want it. */
  private missingTooLong(): boolean {
    return this.missingSince !== undefined && performance.now() - this.missingSince > missingStreamPatienceMs
  }

  private restartIfNeeded(state: LogState): void {
    const oldest = state.firstSequence - 1
    if (this.epoch === '') {
      this.restart('first', state.epoch, Math.max(oldest, state.lastSequence - this.options.warmEvents))
    } else if (state.epoch !== this.epoch) {
      this.restart('reset', state.epoch, oldest)
    } else if (oldest > this.position) {
      this.restart('expired', state.epoch, oldest)
    }
  }

  private restart(reason: RestartReason, epoch: string, position: number): void {
    this.epoch = epoch
    this.position = position
    this.positionTimeMs = undefined
    this.options.onRestart(reason, epoch, position)
  }

  private take(event: LogEvent): void {
    if (this.held) this.held.push(event)
    else if (event.sequence === this.position + 1) this.accept(event)
    else void this.checkHole(event)
  }

  private accept(event: LogEvent): void {
    this.position = event.sequence
    this.positionTimeMs = event.timeMs
    this.options.onEvent(event)
    this.request()
    if (this.lostSince !== undefined) this.noteProgress()
  }

  /**
   * A hole in the sequences is rightful where events were deleted or replaced. Where the log’s oldest event lies
   * behind it, retention was faster than this pod, and that must not stay silent. Until that is known, nothing that
   * comes after the hole is passed on; what was read before the answer can’t have a hole of the other kind then.
   */
  private async checkHole(event: LogEvent): Promise<void> {
    const { reader } = this
    const held = [event]
    this.held = held
    let rightful = false
    try {
      const state = await readLogState(this.options.manager, this.options.settings.STREAM_NAME)
      rightful = state.epoch === this.epoch && state.firstSequence - 1 <= this.position
    } catch (error) {
      this.options.log.warn(
        { position: this.position, error: String(error) },
        'a hole in the log could not be checked',
      )
    }
    if (this.reader !== reader || this.held !== held) return
    // Looking again finds what is missing, says so, and reads everything that is still there.
    if (!rightful) return void this.reopen('a hole in the log')
    this.held = undefined
    for (const one of held) this.accept(one)
    this.request()
  }

  private noteProgress(): void {
    if (this.position < this.readUpTo && this.lag > 0) return
    this.lostSince = undefined
    this.ready = true
  }

  private request(): void {
    const reader = this.reader
    if (this.paused || this.held || !reader || reader.outstanding >= window / 2) return
    reader.request(window - reader.outstanding)
  }
}
