import { describe, expect, it } from 'vitest'
import { Ledger } from '../../services/prober/ledger.ts'

const lostAfterMs = 1_000

function published(...canaries: [n: number, id: string][]): Ledger {
  const ledger = new Ledger(lostAfterMs)
  for (const [n, id] of canaries) {
    ledger.begin(n, n * 10)
    ledger.stored(n, id, n * 10 + 5)
  }
  return ledger
}

describe('the ledger of canaries', () => {
  it('times a canary from its last attempt, and calls it a duplicate when it comes again', () => {
    const ledger = new Ledger(lostAfterMs)
    ledger.begin(1, 0)
    ledger.begin(1, 500)
    expect(ledger.receive(1, 'e-7', 520)).toEqual({ kind: 'first', latencyMs: 20, outOfOrder: false })
    expect(ledger.receive(1, 'e-7', 530)).toMatchObject({ kind: 'duplicate', outOfOrder: false })
  })

  it('loses only what was stored and not received, once, and notes when it comes after all', () => {
    const ledger = published([1, 'e-1'], [2, 'e-2'])
    ledger.begin(3, 30)
    ledger.receive(1, 'e-1', 40)
    expect(ledger.longestAwaitedMs(125)).toBe(100)
    expect(ledger.expire(1_024)).toEqual([])
    expect(ledger.expire(1_025)).toEqual([2])
    expect(ledger.expire(9_999)).toEqual([])
    expect(ledger.longestAwaitedMs(9_999)).toBe(0)
    expect(ledger.receive(2, 'e-2', 10_000)).toMatchObject({ kind: 'late', latencyMs: 9_980 })
  })

  it('notices an id that is not above the one before, and takes another epoch for a new beginning', () => {
    const ledger = published([1, 'e-5'], [2, 'e-6'], [3, 'f-1'])
    expect(ledger.receive(2, 'e-6', 0).outOfOrder).toBe(false)
    expect(ledger.receive(1, 'e-5', 0).outOfOrder).toBe(true)
    expect(ledger.receive(3, 'f-1', 0).outOfOrder).toBe(false)
  })

  it('knows what a resume should have brought: stored in that stretch of this log, and not received', () => {
    const ledger = published([1, 'e-1'], [2, 'e-2'], [3, 'e-3'], [4, 'e-9'], [5, 'f-2'])
    ledger.receive(3, 'e-3', 0)
    expect(ledger.missing('e-1', 'e-8')).toEqual([2])
    expect(ledger.missing('e-0', 'e-9')).toEqual([1, 2, 4])
    expect(ledger.missing('e-0', 'f-9')).toEqual([])
  })

  it('is bounded', () => {
    const ledger = new Ledger(lostAfterMs)
    for (let n = 1; n <= 10_001; n++) ledger.begin(n, 0)
    expect(ledger.receive(1, 'e-1', 0).kind).toBe('unknown')
    expect(ledger.receive(2, 'e-2', 0).kind).toBe('first')
  })
})
