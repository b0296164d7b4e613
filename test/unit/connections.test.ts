import { beforeEach, describe, expect, test } from 'vitest'
import type { Connection } from '../../services/gateway/connection.ts'
import { Connections } from '../../services/gateway/connections.ts'
import type { CloseReason } from '../../services/gateway/sse-frame.ts'
import type { SubscriberState } from '../../services/gateway/subscriber.ts'

const beginMs = 1_000_000
let connections: Connections

/** What `Connections` knows of a connection; its end takes it out, as the gateway does. */
class Stub {
  state: SubscriberState = 'live'
  endSecond = 0
  progressAt = 0
  stalled = 0
  closeWhenLive: CloseReason | undefined
  over: string | undefined
  readonly terms: Connection['terms']

  constructor(
    subject = '',
    endsAt = Number.POSITIVE_INFINITY,
    endReason: 'max-age' | 'token-expired' = 'max-age',
  ) {
    const never = Number.POSITIVE_INFINITY
    this.terms =
      endReason === 'max-age'
        ? { requestId: 'r', subject, maxAgeSecond: Math.ceil(endsAt / 1000), tokenExpirySecond: never }
        : { requestId: 'r', subject, maxAgeSecond: never, tokenExpirySecond: Math.ceil(endsAt / 1000) }
    connections.add(this.asConnection)
  }

  get asConnection(): Connection {
    return this as unknown as Connection
  }

  close(reason: string): void {
    this.end(`closed: ${reason}`)
  }

  abort(reason: string): void {
    this.end(`aborted: ${reason}`)
  }

  stalledMs(): number {
    return this.stalled
  }

  hold(bytes: Buffer, progressAt = 0): void {
    this.progressAt = progressAt
    connections.blocked(this.asConnection, bytes)
  }

  drain(): void {
    connections.drained(this.asConnection)
  }

  private end(how: string): void {
    this.over = how
    connections.remove(this.asConnection)
  }
}

beforeEach(() => {
  connections = new Connections(
    {
      maxConnections: 5,
      maxConnectionsPerSubject: 2,
      stallTimeoutMs: 1_000,
      maxUnsentBytes: 1_000,
      catchUpGraceMs: 3_000,
    },
    beginMs,
  )
})

function tick(laterMs: number): void {
  connections.tick(beginMs + laterMs, laterMs)
}

describe('how many', () => {
  test('a full pod refuses, until one leaves', () => {
    const first = new Stub()
    for (let i = 0; i < 4; i++) new Stub()
    expect(() => connections.requireRoom('')).toThrow(expect.objectContaining({ problem: 'unavailable' }))
    connections.remove(first.asConnection)
    connections.requireRoom('')
  })

  test('one subject may have so many, and without authentication there is none', () => {
    const first = new Stub('ann')
    new Stub('ann')
    new Stub('bob')
    expect(() => connections.requireRoom('ann')).toThrow(
      expect.objectContaining({ problem: 'too-many-requests', status: 429 }),
    )
    connections.requireRoom('bob')
    connections.requireRoom('')
    connections.remove(first.asConnection)
    connections.remove(first.asConnection)
    connections.requireRoom('ann')
  })
})

describe('when they end', () => {
  test('a live stream ends once its time has come, never before', () => {
    const stub = new Stub('', beginMs + 2_500)
    for (const ms of [0, 1_000, 2_000, 2_400]) tick(ms)
    expect(stub.over).toBeUndefined()
    tick(3_000)
    expect(stub.over).toBe('closed: max-age')
  })

  test('ticks that came late miss nobody', () => {
    const stubs = [100, 900, 5_000, 60_000].map((ms) => new Stub('', beginMs + ms))
    tick(61_000)
    expect(stubs.map(({ over }) => over)).toEqual(Array(4).fill('closed: max-age'))
  })

  test('a stream that begins when its time is over ends with the next tick', () => {
    tick(10_000)
    const stub = new Stub('', beginMs + 1_000, 'token-expired')
    tick(11_000)
    expect(stub.over).toBe('closed: token-expired')
  })

  test('one that is behind gets its events first, but not for ever', () => {
    const [patient, slow] = [new Stub('', beginMs + 1_000), new Stub('', beginMs + 1_000)]
    patient.state = 'behind'
    slow.state = 'replaying'
    tick(1_000)
    expect([patient.over, patient.closeWhenLive]).toEqual([undefined, 'max-age'])
    patient.close('max-age')
    tick(3_000)
    expect(slow.over).toBeUndefined()
    tick(4_000)
    expect(slow.over).toBe('closed: max-age')
  })

  test('one whose token has expired ends at once, behind or not', () => {
    const stub = new Stub('', beginMs + 1_000, 'token-expired')
    stub.state = 'replaying'
    tick(1_000)
    expect(stub.over).toBe('closed: token-expired')
  })
})

describe('what slow ones hold', () => {
  test('memory that many hold counts once, by its whole piece, until the last lets go', () => {
    const page = Buffer.alloc(600)
    const [a, b, c] = [new Stub(), new Stub(), new Stub()]
    a.hold(page.subarray(0, 10))
    b.hold(page.subarray(100, 110))
    c.hold(Buffer.alloc(100))
    expect([connections.heldBytes, connections.slowCount]).toEqual([700, 3])
    a.drain()
    expect(connections.heldBytes).toBe(700)
    b.drain()
    b.drain()
    connections.remove(c.asConnection)
    expect([connections.heldBytes, connections.slowCount]).toEqual([0, 0])
  })

  test('one that blocks again without having drained lets go of what it held', () => {
    const stub = new Stub()
    stub.hold(Buffer.alloc(100))
    stub.hold(Buffer.alloc(30))
    expect([connections.heldBytes, connections.slowCount]).toEqual([30, 1])
  })

  test('too much held memory is relieved by closing whoever has stalled longest', () => {
    const stubs = [30, 10, 20].map((progressAt) => {
      const stub = new Stub()
      stub.hold(Buffer.alloc(300), progressAt)
      return stub
    })
    const last = new Stub()
    last.hold(Buffer.alloc(300), 40)
    expect(stubs.map(({ over }) => over)).toEqual([undefined, 'aborted: too-slow', undefined])
    expect([last.over, connections.heldBytes]).toEqual([undefined, 900])
  })

  test('one that alone holds too much is closed itself', () => {
    const stub = new Stub()
    stub.hold(Buffer.alloc(2_000))
    expect([stub.over, connections.heldBytes, connections.slowCount]).toEqual(['aborted: too-slow', 0, 0])
  })

  test('one that takes nothing for too long is closed, and one that takes a little is not', () => {
    const [stuck, slow, fine] = [new Stub(), new Stub(), new Stub()]
    stuck.hold(Buffer.alloc(10))
    slow.hold(Buffer.alloc(10))
    stuck.stalled = 1_001
    slow.stalled = 1_000
    fine.stalled = 9_999
    tick(1_000)
    expect([stuck.over, slow.over, fine.over]).toEqual(['aborted: too-slow', undefined, undefined])
  })
})
