import { expect, test } from 'vitest'
import { planSweep, serves } from '../../services/gateway/replay-plan.ts'
import { Group, type Subscriber } from '../../services/gateway/subscriber.ts'
import { TopicSet } from '../../services/gateway/topic-set.ts'

const groups = new Map<string, Group>()

/** A subscriber as a plan sees it: where it stands, and with whom it shares its topics. */
function waiting(position: number, ...topics: string[]): Subscriber {
  const set = new TopicSet(topics)
  const group = groups.get(set.key) ?? new Group(set, 0)
  groups.set(set.key, group)
  return { position, group } as Subscriber
}

test('nobody waits, nothing is read', () => {
  expect(planSweep([], 1_000)).toBeUndefined()
})

test('a sweep begins at the lowest position', () => {
  expect(planSweep([waiting(70, 'a'), waiting(30, 'b'), waiting(50, 'a')], 100)?.afterSequence).toBe(30)
})

test('a short stretch is read whole, for everybody', () => {
  expect(planSweep([waiting(0, 'a')], 50)).toEqual({ afterSequence: 0, topics: undefined, group: undefined })
})

test('a long stretch is read for the topics of the one that is furthest behind', () => {
  const plan = planSweep([waiting(0, 'a', 'b'), waiting(10, 'c')], 100_000)
  expect(plan).toEqual({ afterSequence: 0, topics: ['a', 'b'], group: 'a b' })
  expect(planSweep([waiting(0, 'a.*')], 100_000)?.topics).toEqual(['a.*'])
})

test('a server that filters by one topic at most is asked for one, or for everything', () => {
  expect(planSweep([waiting(0, 'a', 'b')], 100_000, false)?.topics).toBeUndefined()
  expect(planSweep([waiting(0, 'a')], 100_000, false)?.topics).toEqual(['a'])
})

test('so many groups that one by one would cost more are read together', () => {
  const many = Array.from({ length: 2_000 }, (_, i) => waiting(i, `t${i}`))
  expect(planSweep(many, 100_000)?.topics).toBeUndefined()
  expect(planSweep(many.slice(0, 500), 100_000)?.topics).toEqual(['t0'])
})

test.each([
  ['everything', ['>']],
  ['patterns that may overlap', ['a.*', '*.b']],
  ['more topics than a consumer should filter', Array.from({ length: 33 }, (_, i) => `t${i}`)],
])('%s is read without filter', (_, topics) => {
  expect(planSweep([waiting(0, ...topics)], 1_000_000)).toMatchObject({ topics: undefined, group: undefined })
})

test('a narrow sweep serves its own group, and a wide one everybody', () => {
  const [a, alsoA, b] = [waiting(0, 'a'), waiting(5, 'a'), waiting(5, 'b')]
  const narrow = { afterSequence: 0, topics: ['a'], group: 'a' }
  expect([a, alsoA, b].map((subscriber) => serves(narrow, subscriber))).toEqual([true, true, false])
  expect(serves({ afterSequence: 0, topics: undefined, group: undefined }, b)).toBe(true)
})
