import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'

interface Write {
  bytes: Buffer
  taken: (() => void) | undefined
}

export interface SocketOptions {
  /** Whether the reader takes this write at once. */
  takes: () => boolean
  received: (text: string) => void
  /** Something was written while the socket pushed back. */
  overrun: (text: string) => void
  /** Before a write: may cut the connection. */
  beforeWrite: (socket: FakeSocket) => void
}

/** A reader's end of a connection, which takes what it wants when it wants. */
export class FakeSocket extends EventEmitter {
  destroyed = false
  private readonly options: SocketOptions
  private readonly queue: Write[] = []
  private ending = false
  private closed = false

  constructor(options: SocketOptions) {
    super()
    this.options = options
  }

  get asSocket(): Socket {
    return this as unknown as Socket
  }

  get writableLength(): number {
    return this.queue.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  write(data: Buffer | string, taken?: () => void): boolean {
    const bytes = Buffer.from(data as Buffer)
    if (bytes.length > 0) this.options.beforeWrite(this)
    if (this.destroyed) return false
    if (this.queue.length > 0 && bytes.length > 0 && !bytes.includes('event: $closing')) {
      this.options.overrun(bytes.toString())
    }
    if (this.queue.length === 0 && (bytes.length === 0 || this.options.takes())) {
      if (bytes.length > 0) this.options.received(bytes.toString())
      if (taken) setImmediate(taken)
      return true
    }
    this.queue.push({ bytes, taken })
    return false
  }

  /** The reader takes up to `count` writes. */
  drain(count: number): void {
    let left = count
    for (let next = this.queue[0]; next && !this.destroyed; next = this.queue[0]) {
      if (next.bytes.length > 0 && left-- === 0) break
      this.queue.shift()
      if (next.bytes.length > 0) this.options.received(next.bytes.toString())
      next.taken?.()
    }
    if (this.ending && this.queue.length === 0) this.destroy()
  }

  get pushesBack(): boolean {
    return this.queue.length > 0
  }

  destroySoon(): void {
    this.ending = true
    if (this.queue.length === 0) this.destroy()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.queue.length = 0
    setImmediate(() => this.close())
  }

  /** The link is gone, and the pod notices at once. */
  cut(): void {
    this.destroyed = true
    this.queue.length = 0
    this.close()
  }

  private close(): void {
    if (this.closed) return
    this.closed = true
    this.emit('close')
  }

  resume(): void {}
}
