import { expect, test } from 'vitest'
import { formatEventId, newEpoch, parseEventId } from '../../services/contract/event-id.ts'

test('an id is read back as it was written', () => {
  for (const sequence of [0, 1, 10_482, Number.MAX_SAFE_INTEGER]) {
    const epoch = newEpoch()
    expect(parseEventId(formatEventId(epoch, sequence))).toEqual({ epoch, sequence })
  }
})

test('the epoch of a server without metadata is one too', () => {
  expect(parseEventId(`t${Date.now().toString(36)}-7`)?.sequence).toBe(7)
})

test.each([
  '',
  '-',
  'a-',
  '-1',
  'a-01',
  'a--1',
  'a-1.5',
  'a-1e3',
  'a-9007199254740993',
  'a-99999999999999999',
  'A-1',
  'a-1\n',
  ' a-1',
  'a_b-1',
  `${'a'.repeat(33)}-1`,
  'a-b-1',
])('%j is no id', (text) => {
  expect(parseEventId(text)).toBeUndefined()
})

test('epochs are 12 characters and differ', () => {
  const epochs = new Set(Array.from({ length: 10_000 }, newEpoch))
  expect(epochs.size).toBe(10_000)
  for (const epoch of epochs) expect(epoch).toMatch(/^[a-z0-9]{12}$/)
})
