import type { Socket } from 'node:net'
import { unsentBytes } from './http-socket.ts'
import type { CloseReason } from './sse-frame.ts'
import type { Group, Subscriber, SubscriberState } from './subscriber.ts'

/** What a connection tells its surroundings, and asks of them. */
export interface ConnectionHost {
  /** The socket takes more again. */
  drained(connection: Connection): void
  /** The socket pushes back; `bytes` stays in memory until it drains. */
  blocked(connection: Connection, bytes: Buffer): void
  /** The connection is over. Comes once. */
  closed(connection: Connection, reason: CloseReason): void
  liveBlock(position: number): string
  closingBlock(connection: Connection, reason: CloseReason): string
}

/** Who is connected, and for how long. Times are whole seconds since 1970, which V8 keeps in place. */
export interface ConnectionTerms {
  requestId: string
  subject: string
  /** When the stream has had its age. */
  maxAgeSecond: number
  /** When the token expires; Infinity without one. */
  tokenExpirySecond: number
}

const connectionKey = Symbol('connection')
type OwnedSocket = Socket & { [connectionKey]?: Connection }
/** How long a socket that pushes back may take over the end of its stream. */
const lastWordsMs = 5_000
const nothing = Buffer.alloc(0)

/**
 * One stream: a socket, a place in the log, and the terms of its end. The only code that touches a socket. It has no
 * queue: when the socket pushes back, whoever writes is told, and reads on from the log when it drains.
 */
export class Connection implements Subscriber {
  readonly group: Group
  readonly terms: ConnectionTerms
  state: SubscriberState = 'behind'
  position: number
  liveIndex = -1
  flushed = -1
  /** Set while the socket pushes back: what it holds, and when it last took anything (`performance.now()`). */
  unsent: Buffer | undefined
  unsentSize = 0
  progressAt = 0
  /** Kept for `connections.ts`: the second in which the stream is to end. */
  endSecond = 0
  /** Set when the stream is to end as soon as it has caught up. */
  closeWhenLive: CloseReason | undefined
  /** True until the end of a replay has been announced. */
  private announceLive: boolean
  private notice: string | undefined
  private closeReason: CloseReason | undefined
  private ended = false
  private readonly socket: Socket
  private readonly host: ConnectionHost

  constructor(
    socket: Socket,
    host: ConnectionHost,
    group: Group,
    position: number,
    resumed: boolean,
    terms: ConnectionTerms,
  ) {
    this.socket = socket
    this.host = host
    this.group = group
    this.position = position
    this.announceLive = resumed
    this.terms = terms
    ;(socket as OwnedSocket)[connectionKey] = this
    socket.on('close', onClose)
    socket.on('error', onError)
    socket.on('end', onEnd)
    // What the client sends is read and thrown away; only so its end is noticed.
    socket.resume()
  }

  /** True while the socket pushes back. */
  get pushingBack(): boolean {
    return this.unsent !== undefined
  }

  /** True once the end has begun. */
  get closing(): boolean {
    return this.closeReason !== undefined
  }

  write(bytes: Buffer): boolean {
    if (this.ended) return false
    this.socket.write(bytes)
    if (this.ended) return false
    if (this.socket.writableLength === 0) return true
    if (this.pushingBack) return false
    this.unsent = bytes
    this.unsentSize = unsentBytes(this.socket)
    this.progressAt = performance.now()
    this.host.blocked(this, bytes)
    // Called when everything before it has been taken; unlike `drain` it comes for small writes too.
    this.socket.write(nothing, () => this.onDrain())
    return false
  }

  /** Writes a block that must not wait for a place in the log; after what is unsent, if the socket pushes back. */
  tell(block: string): boolean {
    if (!this.pushingBack) return this.write(Buffer.from(block))
    // A second gap does not undo the first. Few can come before a stalled socket is closed.
    this.notice = (this.notice ?? '') + block
    return false
  }

  becameLive(position: number): boolean {
    let taken = true
    if (this.announceLive) {
      this.announceLive = false
      taken = this.write(Buffer.from(this.host.liveBlock(position)))
    }
    if (this.closeWhenLive) this.close(this.closeWhenLive)
    return taken
  }

  fellBehind(): void {
    this.announceLive = true
  }

  /** Ends the stream with a `$closing` event, after everything that has been written. */
  close(reason: CloseReason): void {
    if (this.closing) return
    this.closeReason = reason
    const block = this.host.closingBlock(this, reason)
    if (!this.ended) this.socket.write(block)
    // A reader that takes nothing must not keep the socket for ever.
    const stuck = this.socket.writableLength > 0
    this.socket.destroySoon()
    if (stuck) setTimeout(() => this.socket.destroy(), lastWordsMs).unref()
    this.finish()
  }

  /** Ends the connection now, whatever it still holds. */
  abort(reason: CloseReason): void {
    this.closeReason ??= reason
    this.socket.destroy()
    this.finish()
  }

  /** Looks whether the socket has taken anything since the last look. Returns how long it has not, in ms. */
  stalledMs(now: number): number {
    const size = unsentBytes(this.socket)
    if (size !== this.unsentSize) {
      this.unsentSize = size
      this.progressAt = now
    }
    return now - this.progressAt
  }

  private onDrain(): void {
    if (this.ended) return
    const { notice } = this
    this.unsent = undefined
    this.notice = undefined
    if (notice && !this.tell(notice)) return
    this.host.drained(this)
  }

  /** @internal */
  finish(reason: CloseReason = 'client-gone'): void {
    if (this.ended) return
    this.ended = true
    this.host.closed(this, this.closeReason ?? reason)
  }
}

// Shared by all connections: a closure each would cost more than the connection's own fields.
function onClose(this: OwnedSocket): void {
  this[connectionKey]?.finish()
}

function onError(this: OwnedSocket, error: NodeJS.ErrnoException): void {
  const gone = error.code === 'ECONNRESET' || error.code === 'EPIPE'
  this[connectionKey]?.abort(gone ? 'client-gone' : 'write-failed')
}

function onEnd(this: OwnedSocket): void {
  this[connectionKey]?.abort('client-gone')
}
