import { Random } from '../support/random.ts'
import { type Client, Crowd } from './crowd.ts'
import { FakeJetStream } from './fake-jetstream.ts'
import { ModelLog } from './model-log.ts'
import { Pod } from './pod.ts'
import { VirtualTime } from './virtual-time.ts'

const topics = ['a', 'b', 'a.x', 'a.y', 'a.x.deep', 'b.x']

/** The router's topic index, from inside: it must be empty in the end. */
interface RouterIndex {
  exact: Map<string, unknown>
  root: { next: Map<string, unknown>; rest: Set<unknown> }
}

export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure'
}

export interface Summary {
  events: number
  gaps: Record<string, number>
  sweeps: number
}

/** One run: a pod, a log and some clients, and what chance makes of them. */
export class Simulation {
  private readonly seed: number
  private readonly random: Random
  private readonly time = new VirtualTime()
  private readonly log = new ModelLog()
  private readonly jetStream: FakeJetStream
  private readonly pod: Pod
  private readonly crowd: Crowd
  private readonly trace: string[] = []
  private failure: SimulationFailure | undefined
  private readonly actions: [number, string, () => void | Promise<void>][]

  constructor(seed: number) {
    this.seed = seed
    const random = new Random(seed)
    this.random = random
    this.jetStream = new FakeJetStream(
      this.log,
      random,
      () => this.time.now,
      () => Math.floor((this.pod.recentLog.floor + this.pod.recentLog.head) / 2),
    )
    this.pod = new Pod(this.log, this.jetStream, random, this.time.now)
    this.crowd = new Crowd({
      pod: this.pod,
      log: this.log,
      random,
      note: (line) => this.note(line),
      fail: (message) => this.fail(message),
    })
    const budgets = random.pick([
      [1, 2, 4],
      [4, 4, 8],
      [1, 4, 64],
    ])
    const restless = random.pick([1, 1, 6])
    const rare = random.pick([0, 0.3, 2])
    this.actions = [
      [20, 'publish', () => this.publish(random.between(1, 5))],
      [2, 'burst', () => this.publish(random.between(10, 30))],
      [20, 'tail', () => void this.pod.readTail(random.between(1, 12))],
      [40, 'step', () => void this.pod.router.step(random.pick(budgets))],
      [10 * restless, 'join', () => this.crowd.join()],
      [6 * restless, 'leave', () => this.crowd.leave()],
      [20, 'drain', () => this.crowd.drain(random.between(1, 3))],
      [5 * restless, 'heartbeat', () => this.pod.streams.heartbeat()],
      [25, 'work', () => this.jetStream.work()],
      [25, 'pass', () => this.time.pass(random.pick([0, 0, 10, 100, 300]))],
      [rare, 'long', () => this.long()],
      [rare, 'delete', () => this.log.delete(random.between(this.log.first, this.log.last))],
      [rare, 'expire', () => this.log.expire(random.between(this.log.first, this.log.last))],
      [rare / 4, 'recreate', () => this.recreate()],
      [rare / 4, 'roll back', () => this.rollBack()],
      [rare, 'lose consumers', () => this.jetStream.loseConsumers()],
    ]
  }

  /** @throws SimulationFailure with the seed and the steps that led to it. */
  async run(steps: number): Promise<Summary> {
    // Numbers of their own: libraries draw some too, and not the same ones in every process.
    const others = new Random(-this.seed)
    this.time.install(() => others.next())
    try {
      this.publish(this.random.between(0, 20))
      this.pod.readTail(100)
      for (let i = 0; i < steps; i++) await this.act()
      await this.settle()
      await this.leaveAll()
    } catch (error) {
      throw error instanceof SimulationFailure ? error : this.failed(String((error as Error).stack))
    } finally {
      this.time.restore()
    }
    const gaps: Record<string, number> = {}
    let events = 0
    for (const { reader } of this.crowd.clients) {
      events += reader.events
      for (const [reason, count] of Object.entries(reader.gaps)) gaps[reason] = (gaps[reason] ?? 0) + count
    }
    return { events, gaps, sweeps: this.pod.replay.sweeps }
  }

  private async act(): Promise<void> {
    const total = this.actions.reduce((sum, [weight]) => sum + weight, 0)
    let at = this.random.next() * total
    for (const [weight, name, act] of this.actions) {
      at -= weight
      if (at >= 0) continue
      this.note(name)
      await act()
      break
    }
    this.check()
  }

  private publish(count: number): void {
    for (let i = 0; i < count; i++) {
      const size = this.random.pick([2, 10, 40, this.random.between(1, 400)])
      const payload = Buffer.from(JSON.stringify('x'.repeat(size)))
      this.log.append(this.random.pick(topics), payload, this.time.now)
    }
  }

  private async long(): Promise<void> {
    await this.time.pass(this.random.between(1_000, 4_000))
    this.pod.connections.tick(this.time.now, this.time.now)
  }

  private recreate(): void {
    this.log.recreate()
    this.jetStream.loseConsumers()
  }

  /** Noticed at once, before a sequence is used again: what a pod tells in between nobody could tell apart. */
  private rollBack(): void {
    this.log.rollBack(this.random.between(Math.max(0, this.log.first - 1), this.log.last))
    this.jetStream.loseConsumers()
    this.pod.readTail(0)
  }

  /** What must hold after every step. */
  private check(): void {
    if (this.failure) throw this.failure
    const { recentLog, connections, router } = this.pod
    if (recentLog.bytes > Math.max(this.pod.maxRecentBytes, 1_000))
      this.fail(`the recent log holds ${recentLog.bytes} bytes of ${this.pod.maxRecentBytes}`)
    const held = new Map<ArrayBufferLike, number>()
    for (const { unsent } of connections.all) if (unsent) held.set(unsent.buffer, unsent.buffer.byteLength)
    const bytes = [...held.values()].reduce((sum, size) => sum + size, 0)
    if (connections.heldBytes !== bytes)
      this.fail(`slow sockets hold ${bytes} bytes, counted are ${connections.heldBytes}`)
    let members = 0
    for (const group of router.groups.values()) members += group.size
    if (members !== connections.all.size) this.fail(`${members} members, ${connections.all.size} connections`)
  }

  /** Everybody takes everything: after a while each must be at the log's head. */
  private async settle(): Promise<void> {
    this.note('calm')
    // Whoever stands behind a last event that was deleted unread waits for the next one.
    this.publish(1)
    this.crowd.calm = true
    this.jetStream.troubles = 0
    for (let i = 0; i < 1_000; i++) {
      for (const client of this.crowd.clients) {
        client.socket?.drain(100)
        if (!client.socket && !client.connecting) this.crowd.connect(client)
      }
      this.jetStream.work()
      this.pod.readTail(100)
      this.pod.router.step(64)
      await this.time.pass(20)
      this.check()
      if (!this.pod.router.busy && this.crowd.clients.every((client) => this.isLive(client))) break
    }
    this.pod.streams.heartbeat()
    while (this.pod.router.busy) this.pod.router.step(3)
    this.check()
    for (const client of this.crowd.clients) {
      const { position, name } = client.reader
      if (!this.isLive(client)) this.fail(`${name} is not live, at ${position?.epoch}-${position?.sequence}`)
      if (position?.epoch !== this.pod.epoch || position.sequence !== this.pod.recentLog.head)
        this.fail(`${name} ends at ${position?.epoch}-${position?.sequence}, not at the head`)
    }
  }

  private isLive({ reader, socket }: Client): boolean {
    if (!socket) return false
    for (const connection of this.pod.connections.all) {
      if (connection.terms.requestId === reader.name && connection.state === 'live') return true
    }
    return false
  }

  private async leaveAll(): Promise<void> {
    for (const { socket } of this.crowd.clients) socket?.cut()
    await this.time.pass(0)
    const { router, replay, connections } = this.pod
    const { index } = router as unknown as { index: RouterIndex }
    const left = {
      connections: connections.all.size,
      held: connections.heldBytes,
      groups: router.groups.size,
      early: router.early.size,
      waiting: replay.waiting.size,
      index: index.exact.size + index.root.next.size + index.root.rest.size,
    }
    for (const [what, count] of Object.entries(left)) if (count !== 0) this.fail(`${count} ${what} left`)
  }

  private note(line: string): void {
    this.trace.push(line)
  }

  /** Fails the run even where an exception would be swallowed on its way. */
  private fail(message: string): never {
    this.failure ??= this.failed(message)
    throw this.failure
  }

  private failed(message: string): SimulationFailure {
    const steps = this.trace.slice(-80).join('\n  ')
    return new SimulationFailure(`SEED=${this.seed}: ${message}\nlast steps:\n  ${steps}`)
  }
}
