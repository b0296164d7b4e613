import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecentLog } from '../../services/gateway/recent-log.ts'
import { TopicSet } from '../../services/gateway/topic-set.ts'

const all = new TopicSet(['>'])

function filled(log: RecentLog, from: number, to: number, bytes = 10): RecentLog {
  for (let sequence = from; sequence <= to; sequence++)
    log.append(sequence, sequence % 2 ? 'odd' : 'even', sequence * 100, Buffer.alloc(bytes, sequence % 256))
  return log
}

function readAll(log: RecentLog, topics: TopicSet, from: number, to: number): Buffer {
  const parts: Buffer[] = []
  for (let position = from; position < to; ) {
    const chunk = log.read(topics, position, to)
    expect(chunk.position).toBeGreaterThan(position)
    position = chunk.position
    if (chunk.bytes) parts.push(chunk.bytes)
  }
  return Buffer.concat(parts)
}

test('everything after the floor is held, in order, whatever fell off', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 120 })), { maxLength: 60 }),
      fc.integer({ min: 20, max: 500 }),
      fc.integer({ min: 10, max: 200 }),
      (appends, maxBytes, pageBytes) => {
        const log = new RecentLog({ maxBytes, pageBytes })
        log.restart(5)
        let sequence = 5
        let largest = 0
        const frames = new Map<number, Buffer>()
        for (const [step, size] of appends) {
          sequence += step
          largest = Math.max(largest, size)
          const frame = Buffer.alloc(size, sequence)
          frames.set(sequence, frame)
          log.append(sequence, 'a', sequence, frame)
          expect(log.bytes).toBeLessThanOrEqual(Math.max(maxBytes, largest))
          expect(log.head).toBe(sequence)
          const held = [...frames].filter(([key]) => key > log.floor).map(([, value]) => value)
          expect(readAll(log, all, log.floor, sequence)).toEqual(Buffer.concat(held))
          // The newest is always there.
          expect(log.floor).toBeLessThan(sequence)
        }
      },
    ),
  )
})

test('one event larger than everything is held all the same', () => {
  const log = new RecentLog({ maxBytes: 100, pageBytes: 50 })
  filled(log, 1, 8)
  filled(log, 9, 9, 1_000)
  expect([log.bytes, log.floor]).toEqual([1_000, 8])
  expect(log.read(all, 8, 9).bytes).toHaveLength(1_000)
  filled(log, 10, 10)
  expect([log.bytes, log.floor]).toEqual([50, 9])
})

test('a read stops where it is told, though the log goes on', () => {
  const log = filled(new RecentLog({ maxBytes: 10_000, pageBytes: 40 }), 1, 20)
  expect(readAll(log, new TopicSet(['odd']), 3, 8)).toHaveLength(20)
  expect(log.read(all, 20, 20)).toEqual({ bytes: undefined, events: 0, position: 20 })
})

test('a sequence that does not grow is an error, not a silent disorder', () => {
  const log = filled(new RecentLog({ maxBytes: 1_000 }), 1, 3)
  expect(() => filled(log, 3, 3)).toThrow(/does not follow/)
})

test('a restart empties the log', () => {
  const log = filled(new RecentLog({ maxBytes: 1_000, pageBytes: 100 }), 1, 50)
  log.restart(7)
  expect([log.head, log.floor, log.bytes, log.oldestTimeMs]).toEqual([7, 7, 0, undefined])
  filled(log, 8, 9)
  expect(readAll(log, all, 7, 9)).toHaveLength(20)
})

test('a time is found as the position before its first event', () => {
  const log = filled(new RecentLog({ maxBytes: 100, pageBytes: 30 }), 1, 30)
  const oldest = log.floor + 1
  expect(log.oldestTimeMs).toBe(oldest * 100)
  // What lies before the oldest event held only the stream can tell.
  expect(log.positionAt(oldest * 100)).toBeUndefined()
  expect(log.positionAt(oldest * 100 + 1)).toBe(oldest)
  expect(log.positionAt(2_500)).toBe(24)
  expect(log.positionAt(2_501)).toBe(25)
  expect(log.positionAt(3_000)).toBe(29)
  expect(log.positionAt(9_999)).toBe(30)
  expect(new RecentLog({ maxBytes: 100 }).positionAt(1)).toBeUndefined()
})
