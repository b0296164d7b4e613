import { connect, type Socket } from 'node:net'
import { waitUntil } from './wait.ts'

/** What one client of a swarm has seen of a publisher that numbers its events 1, 2, 3, …: `{"n":1}`. */
class Member {
  last = 0
  lastEventId = ''
  open = false
  duplicated = 0
  lost = 0
  gaps = 0
  connects = 0
  private retryMs = 100
  private rest = ''
  private type = ''
  private inBody = false
  private stopped = false
  private socket: Socket | undefined
  private readonly port: number
  private readonly topic: string
  private readonly host: string

  constructor(port: number, topic: string, host: string) {
    this.port = port
    this.topic = topic
    this.host = host
  }

  start(): void {
    if (this.stopped) return
    this.connects++
    this.rest = ''
    this.inBody = false
    const socket = connect(this.port, this.host)
    this.socket = socket
    // HTTP/1.0: the body comes as it is, without chunks, and ends with the connection.
    const position = this.lastEventId ? `Last-Event-ID: ${this.lastEventId}\r\n` : ''
    socket.write(
      `GET /v1/events?topic=${this.topic} HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n${position}\r\n`,
    )
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.read(text))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.open = false
      if (!this.stopped) setTimeout(() => this.start(), this.retryMs)
    })
  }

  stop(): void {
    this.stopped = true
    this.socket?.destroy()
  }

  private read(text: string): void {
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop() as string
    for (const line of lines) {
      if (this.inBody) this.field(line)
      else if (line === '\r') this.inBody = true
      else if (line.startsWith('HTTP/') && !line.includes(' 200 ')) throw new Error(`A stream got ${line}`)
    }
  }

  private field(line: string): void {
    if (line === '') this.type = ''
    else if (line.startsWith('id: ')) this.lastEventId = line.slice(4)
    else if (line.startsWith('retry: ')) this.retryMs = Number(line.slice(7))
    else if (line.startsWith('event: ')) this.type = line.slice(7)
    else if (line.startsWith('data: ')) this.data(line)
  }

  private data(line: string): void {
    this.open = true
    if (this.type === '$gap') this.gaps++
    if (this.type.startsWith('$')) return
    const n = Number(/"n":(\d+)/.exec(line)?.[1])
    if (n <= this.last) this.duplicated++
    else this.lost += n - this.last - 1
    this.last = Math.max(this.last, n)
  }
}

/** Sums over all clients of a swarm. A number that comes too late counts as lost first and as duplicated then. */
export interface Ledger {
  clients: number
  lost: number
  duplicated: number
  gaps: number
  reconnects: number
  /** The lowest and the highest last number that a client has seen. */
  lowest: number
  highest: number
}

/** Many clients of one topic that come back with their last id, as a native EventSource does, and keep count. */
export class Swarm {
  private readonly members: Member[]

  constructor(port: number, topic: string, clients: number, host = '127.0.0.1') {
    this.members = Array.from({ length: clients }, () => new Member(port, topic, host))
  }

  /** Opens all streams, a few hundred at a time, and returns when each has got its first block. */
  async open(): Promise<void> {
    for (let i = 0; i < this.members.length; i += 250) {
      const batch = this.members.slice(i, i + 250)
      for (const member of batch) member.start()
      await this.untilOpen(batch)
    }
  }

  /** Waits until every client has an open stream. */
  async untilOpen(members = this.members, timeoutMs = 60_000): Promise<void> {
    await waitUntil(() => members.every((member) => member.open), {
      timeoutMs,
      get what() {
        return `all streams to be open (${members.filter((member) => !member.open).length} are not)`
      },
    })
  }

  /** Waits until every client has seen the event numbered `n`. */
  async untilAll(n: number): Promise<void> {
    const swarm = this
    await waitUntil(() => this.members.every((member) => member.last >= n), {
      timeoutMs: 60_000,
      get what() {
        return `event ${n} to reach everybody: ${JSON.stringify(swarm.ledger())}`
      },
    })
  }

  ledger(): Ledger {
    const sum = (read: (member: Member) => number) =>
      this.members.reduce((total, member) => total + read(member), 0)
    return {
      clients: this.members.length,
      lost: sum((member) => member.lost),
      duplicated: sum((member) => member.duplicated),
      gaps: sum((member) => member.gaps),
      reconnects: sum((member) => member.connects - 1),
      lowest: Math.min(...this.members.map((member) => member.last)),
      highest: Math.max(...this.members.map((member) => member.last)),
    }
  }

  close(): void {
    for (const member of this.members) member.stop()
  }
}
