import { expect, test } from 'vitest'
import type { LogState } from '../../services/common/log-stream.ts'
import { type LogView, sinceTime, startPosition } from '../../services/gateway/start-position.ts'

const nowMs = Date.UTC(2026, 10, 22, 12)

/** A pod that has read up to 100, flushed up to 98 and holds what comes after 60; the log has 21 to 110. */
class View implements LogView {
  epoch = 'e1'
  tailPosition = 100
  boundary = 98
  recentFloor = 60
  state: LogState = { epoch: 'e1', firstSequence: 21, lastSequence: 110, behind: [] }
  questions = 0
  /** Events are a second apart: event n was stored at n seconds past. */
  recentPositionAt(timeMs: number): number | undefined {
    const position = this.positionAt(timeMs)
    return position <= this.recentFloor ? undefined : position
  }
  async readState(): Promise<LogState> {
    this.questions++
    return this.state
  }
  async readPositionAt(timeMs: number): Promise<number> {
    if (Number.isNaN(new Date(timeMs).getTime())) throw new RangeError('Invalid time value')
    this.questions++
    return this.positionAt(timeMs)
  }
  private positionAt(timeMs: number): number {
    const position = Math.ceil((timeMs - start) / 1_000) - 1
    return Math.min(Math.max(position, 20), this.tailPosition)
  }
}

const start = nowMs - 200_000

function from(lastEventId: string | undefined, since?: string, view = new View()) {
  return startPosition({ lastEventId, since }, view, nowMs)
}

test('without a wish a stream begins where live streams are', async () => {
  const view = new View()
  expect(await from(undefined, undefined, view)).toEqual({
    epoch: 'e1',
    position: 98,
    gap: undefined,
    resumed: false,
  })
  expect(await from('')).toMatchObject({ position: 98, gap: undefined, resumed: false })
  expect(view.questions).toBe(0)
})

test.each([100, 99, 60])('position %i is in the recent log, and JetStream is not asked', async (sequence) => {
  const view = new View()
  expect(await from(`e1-${sequence}`, undefined, view)).toEqual({
    epoch: 'e1',
    position: sequence,
    gap: undefined,
    resumed: true,
  })
  expect(view.questions).toBe(0)
})

test.each([59, 21, 20])('position %i is older, and the log still has what follows', async (sequence) => {
  expect(await from(`e1-${sequence}`)).toMatchObject({ position: sequence, gap: undefined, resumed: true })
})

test('a position before the oldest event goes on from there, and says expired', async () => {
  for (const id of ['e1-19', 'e1-0'])
    expect(await from(id)).toMatchObject({ position: 20, gap: { reason: 'expired', requested: id } })
})

test('in an empty log whose events have all expired, a stream goes on from its end', async () => {
  const view = new View()
  view.recentFloor = 100
  view.state = { epoch: 'e1', firstSequence: 101, lastSequence: 100, behind: [] }
  expect(await from('e1-50', undefined, view)).toMatchObject({ position: 100, gap: { reason: 'expired' } })
})

test('a position ahead of this pod’s tail but not of the log is kept', async () => {
  for (const sequence of [101, 110])
    expect(await from(`e1-${sequence}`)).toMatchObject({ position: sequence, gap: undefined, resumed: true })
})

test('a position ahead of the log goes on from now, and says so', async () => {
  expect(await from('e1-111')).toMatchObject({ position: 98, gap: { reason: 'ahead', requested: 'e1-111' } })
})

test('a position of another incarnation goes on from the first event, and says reset', async () => {
  for (const id of ['e0-50', 'e0-5000', 'e0-0'])
    expect(await from(id)).toMatchObject({ position: 20, gap: { reason: 'reset', requested: id } })
})

test.each(['what?', 'e1-', '50', 'e1-1.5', 'E1-7', 'x'.repeat(70)])(
  'a malformed position (%s) goes on from now, and says so',
  async (id) => {
    const result = await from(id)
    expect(result).toMatchObject({ position: 98, gap: { reason: 'malformed' }, resumed: true })
    expect(result.gap?.requested).toBe(id.slice(0, 64))
  },
)

test.each(['e1-30', 'e1-105', 'e2-3', 'e0-1'])(
  'while this pod has yet to notice that the log was recreated, %s is put off',
  async (id) => {
    const view = new View()
    view.state = { epoch: 'e2', firstSequence: 1, lastSequence: 5, behind: [] }
    await expect(from(id, undefined, view)).rejects.toMatchObject({ problem: 'unavailable' })
    await expect(from(undefined, 'all', view)).rejects.toMatchObject({ problem: 'unavailable' })
  },
)

test('a log that can’t be asked is an error, and no guess', async () => {
  const view = new View()
  view.readState = () => Promise.reject(new Error('timeout'))
  await expect(from('e1-30', undefined, view)).rejects.toThrow('timeout')
})

test('since all begins with the oldest event', async () => {
  expect(await from(undefined, 'all')).toMatchObject({ position: 20, gap: undefined, resumed: true })
})

test('a time that the recent log knows costs no question, and an older one is looked up', async () => {
  const view = new View()
  expect(await from(undefined, '120s', view)).toMatchObject({ position: 79, resumed: true })
  expect(view.questions).toBe(0)
  expect(await from(undefined, '170s', view)).toMatchObject({ position: 29, resumed: true })
  expect(await from(undefined, '2026-11-22T11:57:10Z', view)).toMatchObject({ position: 29 })
})

test('durations of one second ask the log for one time, so that their look-ups can be shared', async () => {
  const view = new View()
  const asked = new Set<number>()
  view.recentPositionAt = () => undefined
  view.readPositionAt = async (timeMs) => {
    asked.add(timeMs)
    return 50
  }
  for (const ms of [0, 300, 999])
    await startPosition({ lastEventId: undefined, since: '1h' }, view, nowMs + ms)
  expect([...asked]).toEqual([nowMs - 3_600_000])
  await from(undefined, '2026-11-22T11:57:10.250Z', view)
  expect([...asked].at(-1)).toBe(Date.UTC(2026, 10, 22, 11, 57, 10, 250))
})

test('a time before the oldest event, however long ago, begins with the oldest', async () => {
  for (const since of ['1h', '100000d', '999999999999d', '0001-01-01T00:00:00Z', '1969-12-31T23:59:59Z'])
    expect(await from(undefined, since), since).toMatchObject({ position: 20, gap: undefined })
})

test('a time that has yet to come is live only', async () => {
  for (const since of ['0s', '2030-01-01T00:00:00Z'])
    expect(await from(undefined, since), since).toMatchObject({ position: 98, resumed: false })
})

test('a stream never begins ahead of this pod’s tail because of a time', async () => {
  const view = new View()
  view.readPositionAt = async () => 109
  view.recentPositionAt = () => undefined
  expect(await from(undefined, '1s', view)).toMatchObject({ position: 100 })
})

test('a position is stronger than a time', async () => {
  expect(await from('e1-70', 'all')).toMatchObject({ position: 70 })
})

test.each([
  ['all', Number.NEGATIVE_INFINITY],
  ['500ms', nowMs - 500],
  ['90s', nowMs - 90_000],
  ['10m', nowMs - 600_000],
  ['2h', nowMs - 7_200_000],
  ['7d', nowMs - 604_800_000],
  ['2026-11-22T09:30:00Z', Date.UTC(2026, 10, 22, 9, 30)],
  ['2026-11-22T09:30:00.250+01:00', Date.UTC(2026, 10, 22, 8, 30, 0, 250)],
  ['2026-11-22T09:30:00 01:00', Date.UTC(2026, 10, 22, 8, 30)],
  ['2026-11-22t09:30:00z', Date.UTC(2026, 10, 22, 9, 30)],
])('since=%s is read', (text, timeMs) => {
  expect(sinceTime(text, nowMs)).toBe(timeMs)
})

test.each([
  'ALL',
  '10',
  '10 m',
  '-10m',
  '1.5h',
  '10w',
  'yesterday',
  '2026-11-22',
  '2026-11-22T09:30:00',
  '2026-13-22T09:30:00Z',
  '2026-11-22T25:30:00Z',
  '1795339800000',
  '',
])('since=%s is refused, and the answer says what may stand there', (text) => {
  expect(() => sinceTime(text, nowMs)).toThrow(/a duration/)
})
