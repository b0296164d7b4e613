import { Problem } from '../common/problem.ts'
import type { Connection } from './connection.ts'

export interface ConnectionLimits {
  maxConnections: number
  maxConnectionsPerSubject: number
  /** A socket that has taken nothing for this long is closed as too slow. */
  stallTimeoutMs: number
  /** Most memory that sockets which push back may hold, over all. */
  maxUnsentBytes: number
  /** How long a stream that is to end may take to catch up first. */
  catchUpGraceMs: number
}

/** The pod’s connections: how many there may be, when each ends, and which hold memory because they are slow. */
export class Connections {
  readonly all = new Set<Connection>()
  private readonly perSubject = new Map<string, number>()
  private readonly ends = new Map<number, Set<Connection>>()
  private nextSecond: number
  /** Connections whose sockets push back, and the memory that each holds. */
  private readonly slow = new Map<Connection, ArrayBufferLike>()
  /** Pieces of memory that slow sockets hold, and how many hold each: what is shared counts once. */
  private readonly held = new Map<ArrayBufferLike, number>()
  /** Bytes that slow sockets hold. */
  heldBytes = 0
  private readonly limits: ConnectionLimits

  constructor(limits: ConnectionLimits, nowMs: number) {
    this.limits = limits
    this.nextSecond = second(nowMs)
  }

  /** @throws Problem `unavailable` when the pod is full, `too-many-requests` when the subject has too many. */
  requireRoom(subject: string): void {
    if (this.all.size >= this.limits.maxConnections) {
      throw new Problem('unavailable', 'This pod serves as many streams as it may; come back.')
    }
    const count = this.perSubject.get(subject) ?? 0
    if (subject !== '' && count >= this.limits.maxConnectionsPerSubject) {
      throw new Problem(
        'too-many-requests',
        `The token’s subject, ${subject}, has ${count} streams open, as many as it may; close one.`,
      )
    }
  }

  add(connection: Connection): void {
    this.all.add(connection)
    const { subject, maxAgeSecond, tokenExpirySecond } = connection.terms
    if (subject !== '') this.perSubject.set(subject, (this.perSubject.get(subject) ?? 0) + 1)
    this.endAt(connection, Math.min(maxAgeSecond, tokenExpirySecond))
  }

  remove(connection: Connection): void {
    if (!this.all.delete(connection)) return
    this.drained(connection)
    const { subject } = connection.terms
    this.ends.get(connection.endSecond)?.delete(connection)
    const count = this.perSubject.get(subject)
    if (count === 1) this.perSubject.delete(subject)
    else if (count) this.perSubject.set(subject, count - 1)
  }

  get slowCount(): number {
    return this.slow.size
  }

  /** `bytes` stays in memory until the connection’s socket drains. */
  blocked(connection: Connection, bytes: Buffer): void {
    this.drained(connection)
    const memory = bytes.buffer
    this.slow.set(connection, memory)
    const holders = this.held.get(memory) ?? 0
    this.held.set(memory, holders + 1)
    if (holders === 0) this.heldBytes += memory.byteLength
    if (this.heldBytes > this.limits.maxUnsentBytes) this.relieve()
  }

  /** What the connection’s socket held is let go. */
  drained(connection: Connection): void {
    const memory = this.slow.get(connection)
    if (!memory) return
    this.slow.delete(connection)
    const holders = this.held.get(memory) as number
    if (holders > 1) this.held.set(memory, holders - 1)
    else {
      this.held.delete(memory)
      this.heldBytes -= memory.byteLength
    }
  }

  /** Once a second: ends the streams whose time has come, and those whose sockets take nothing. */
  tick(nowMs: number, monotonicMs: number): void {
    for (; this.nextSecond * 1000 <= nowMs; this.nextSecond++) {
      const due = this.ends.get(this.nextSecond)
      this.ends.delete(this.nextSecond)
      if (due) for (const connection of due) this.end(connection, nowMs)
    }
    for (const connection of this.slow.keys()) {
      if (connection.stalledMs(monotonicMs) > this.limits.stallTimeoutMs) connection.abort('too-slow')
    }
  }

  private end(connection: Connection, nowMs: number): void {
    const { tokenExpirySecond } = connection.terms
    if (tokenExpirySecond * 1000 <= nowMs) connection.close('token-expired')
    else if (connection.state === 'live' || connection.closeWhenLive) connection.close('max-age')
    else {
      // Behind: it gets its events first, but not for ever.
      connection.closeWhenLive = 'max-age'
      this.endAt(connection, Math.min(second(nowMs + this.limits.catchUpGraceMs), tokenExpirySecond))
    }
  }

  private endAt(connection: Connection, end: number): void {
    connection.endSecond = Math.max(end, this.nextSecond)
    const due = this.ends.get(connection.endSecond)
    if (due) due.add(connection)
    else this.ends.set(connection.endSecond, new Set([connection]))
  }

  /** Too much memory is held: those who have taken nothing for longest go first. */
  private relieve(): void {
    const stalled = [...this.slow.keys()].sort((a, b) => a.progressAt - b.progressAt)
    for (const connection of stalled) {
      if (this.heldBytes <= this.limits.maxUnsentBytes) return
      connection.abort('too-slow')
    }
  }
}

/** Whole seconds, rounded up: nothing ends early. */
function second(timeMs: number): number {
  return Math.ceil(timeMs / 1000)
}
