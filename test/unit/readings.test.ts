import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Connections } from '../../services/gateway/connections.ts'
import type { LogTail } from '../../services/gateway/log-tail.ts'
import { Readings } from '../../services/gateway/readings.ts'
import { RecentLog } from '../../services/gateway/recent-log.ts'
import { Router } from '../../services/gateway/router.ts'

const startMs = Date.UTC(2026, 10, 22)

function readingsWith(
  tail: Partial<LogTail> | undefined,
  streams: { state: string; position: number }[] = [],
) {
  const recentLog = new RecentLog({ maxBytes: 65_536 })
  recentLog.restart(100)
  return new Readings({
    connections: { all: new Set(streams), heldBytes: 0 } as unknown as Connections,
    router: new Router({ recentLog, replay: () => undefined, heartbeat: () => Buffer.alloc(0) }),
    recentLog,
    tail: () => tail as LogTail | undefined,
    replay: () => undefined,
    draining: () => false,
  })
}

beforeEach(() => {
  vi.useFakeTimers({ now: startMs })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the tail lag in seconds', () => {
  it('is 0 for a tail that has all, however long ago that was stored', () => {
    const readings = readingsWith({
      ready: true,
      lostSince: undefined,
      lag: 0,
      positionTimeMs: startMs - 3_600_000,
    })
    vi.advanceTimersByTime(90_000)
    expect(readings.tailLagSeconds).toBe(0)
  })

  it('is the age of the newest event read while the log has newer ones', () => {
    const tail = { ready: true, lostSince: undefined, lag: 0, positionTimeMs: startMs }
    const readings = readingsWith(tail)
    readings.tick(startMs)
    tail.lag = 5_000
    vi.advanceTimersByTime(60_000)
    tail.positionTimeMs = startMs + 53_000
    readings.tick(Date.now())
    expect(readings.tailLagSeconds).toBe(7)
  })

  it('is not an hour when the first events of a burst come after a quiet hour', () => {
    const tail = { ready: true, lostSince: undefined, lag: 0, positionTimeMs: startMs }
    const readings = readingsWith(tail)
    vi.advanceTimersByTime(3_600_000)
    readings.tick(Date.now())
    tail.lag = 10
    vi.advanceTimersByTime(400)
    expect(readings.tailLagSeconds).toBe(0.4)
  })

  it('grows while the log can’t be followed, since nobody knows what it has', () => {
    const tail: Partial<LogTail> = { ready: true, lostSince: undefined, lag: 0, positionTimeMs: startMs }
    const readings = readingsWith(tail)
    readings.tick(startMs)
    tail.lostSince = 1
    vi.advanceTimersByTime(30_000)
    readings.tick(Date.now())
    expect(readings.tailLagSeconds).toBe(30)
  })

  it('counts from the start of a pod that has not reached NATS', () => {
    const readings = readingsWith(undefined)
    vi.advanceTimersByTime(8_000)
    expect(readings.tailLagSeconds).toBe(8)
  })
})

describe('behind events', () => {
  it('is the distance of the stream that is furthest behind, whatever live ones’ positions say', () => {
    const readings = readingsWith(undefined, [
      { state: 'live', position: 0 },
      { state: 'early', position: 120 },
      { state: 'blocked', position: 93 },
      { state: 'replaying', position: 40 },
    ])
    expect(readings.behindEvents).toBe(60)
    expect(readings.connections).toMatchObject({ live: 1, early: 1, blocked: 1, replaying: 1, behind: 0 })
  })

  it('is 0 when nobody is behind', () => {
    expect(readingsWith(undefined, [{ state: 'live', position: 3 }]).behindEvents).toBe(0)
  })
})
