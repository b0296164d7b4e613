import { Problem } from '../../services/common/problem.ts'
import { everything } from '../../services/common/token.ts'
import type { Random } from '../support/random.ts'
import { FakeSocket } from './fake-socket.ts'
import type { ModelLog } from './model-log.ts'
import type { Pod } from './pod.ts'
import { Reader } from './reader.ts'

const wishes = ['a', 'b', 'a.x', 'a.y', 'b.x', '>', 'a.>', 'a.*', '*', '*.x', '*.>', 'a.x.>', 'none']

export interface Client {
  reader: Reader
  /** Undefined while it is away. */
  socket: FakeSocket | undefined
  connecting: boolean
}

export interface CrowdOptions {
  pod: Pod
  log: ModelLog
  random: Random
  note: (line: string) => void
  fail: (message: string) => never
}

/** The clients: they come, read at their own pace, go at any moment, and come back with their last event id. */
export class Crowd {
  readonly clients: Client[] = []
  /** Once set, everybody takes everything and nobody is cut off. */
  calm = false
  private readonly options: CrowdOptions
  private readonly random: Random
  private readonly reluctance: number
  private readonly cutChance: number
  private readonly maxClients: number
  /** In some runs many clients want the same. */
  private readonly topicSets: string[][]

  constructor(options: CrowdOptions) {
    const { random } = options
    this.options = options
    this.random = random
    this.reluctance = random.pick([0, 0.1, 0.5])
    this.cutChance = random.pick([0, 0, 0.02])
    this.maxClients = random.pick([3, 12, 24])
    this.topicSets = Array.from({ length: random.pick([1, 2, 5, 14]) }, () => [
      ...new Set(Array.from({ length: random.pick([1, 1, 2, 3]) }, () => random.pick(wishes))),
    ])
  }

  /** A new client comes, or one that was away comes back. */
  join(): void {
    const away = this.clients.filter(({ socket, connecting }) => !socket && !connecting)
    if (away.length > 0 && this.random.chance(0.6)) {
      this.connect(this.random.pick(away))
      return
    }
    if (this.clients.length >= this.maxClients) return
    const reader = new Reader(
      `client ${this.clients.length}`,
      this.random.pick(this.topicSets),
      this.options.log,
      this.options.fail,
    )
    const client: Client = { reader, socket: undefined, connecting: false }
    this.clients.push(client)
    this.connect(client)
  }

  connect(client: Client): void {
    const { log } = this.options
    const { reader } = client
    const { position } = reader
    let lastEventId = position && `${position.epoch}-${position.sequence}`
    let since: string | undefined
    if (!lastEventId) {
      const wish = this.random.pick(['live', 'live', 'all', 'since', 'id', 'ahead', 'malformed'])
      if (wish === 'all') since = 'all'
      if (wish === 'since') since = `${this.random.between(1, 4_000)}ms`
      if (wish === 'id') lastEventId = `${log.epoch}-${this.random.between(0, log.last)}`
      if (wish === 'ahead') lastEventId = `${log.epoch}-${log.last + this.random.between(1, 9)}`
      if (wish === 'malformed') lastEventId = 'what?'
    }
    this.options.note(
      `${reader.name} (${reader.topics.join(' ')}) connects from ${lastEventId ?? since ?? 'now'}`,
    )
    client.connecting = true
    reader.connect(lastEventId, since)
    void this.open(client, lastEventId, since)
  }

  private async open(client: Client, lastEventId?: string, since?: string): Promise<void> {
    const { reader } = client
    try {
      const start = await this.options.pod.streams.startPosition({ lastEventId, since })
      this.options.pod.streams.requireRoom('', start)
      const socket = this.socket(client)
      client.socket = socket
      this.options.pod.streams.open(socket.asSocket, '', start, [...reader.topics], everything, reader.name)
    } catch (error) {
      if (!(error instanceof Problem)) this.options.fail(String((error as Error).stack))
      this.options.note(`${reader.name}: ${(error as Error).message}`)
    }
    client.connecting = false
  }

  private socket(client: Client): FakeSocket {
    const socket = new FakeSocket({
      takes: () => this.calm || !this.random.chance(this.reluctance),
      received: (text) => {
        this.options.note(`${client.reader.name} gets ${[...text.matchAll(/^(?:id|event): .*/gm)].join(' ')}`)
        client.reader.receive(text)
      },
      overrun: (text) =>
        this.options.fail(`${client.reader.name} is written to while it pushes back: ${text}`),
      beforeWrite: (cut) => {
        if (this.calm || !this.random.chance(this.cutChance)) return
        for (let others = this.random.pick([0, 1, 4]); others > 0; others--) {
          this.random.pick(this.clients).socket?.cut()
        }
        if (this.random.chance(0.5)) cut.cut()
      },
    })
    socket.on('close', () => {
      this.options.note(`${client.reader.name} is gone`)
      client.socket = undefined
    })
    return socket
  }

  leave(): void {
    const { socket } = this.random.pick(this.clients) ?? {}
    if (this.random.chance(0.5)) socket?.cut()
    else socket?.destroy()
  }

  /** Some client takes up to `count` writes that waited for it. */
  drain(count: number): void {
    const pushing = this.clients.filter(({ socket }) => socket?.pushesBack)
    if (pushing.length > 0) this.random.pick(pushing).socket?.drain(count)
  }
}
