import fc from 'fast-check'
import { expect, test } from 'vitest'
import { firstAfter, Page } from '../../services/gateway/page.ts'
import { TopicSet } from '../../services/gateway/topic-set.ts'
import { pattern, topic } from '../support/topics.ts'

interface Item {
  sequence: number
  topic: string
  frame: string
}

/** A page of events with holes, of frames that say what they are. */
const items = fc
  .array(fc.tuple(topic, fc.nat({ max: 2 }), fc.nat({ max: 12 })), { minLength: 1, maxLength: 25 })
  .map((parts) => {
    let sequence = 10
    return parts.map(([name, hole, length]): Item => {
      sequence += 1 + hole
      return { sequence, topic: name, frame: `${sequence}${'x'.repeat(length)};` }
    })
  })

function pageOf(list: readonly Item[]): Page {
  const page = new Page(10, 1_000)
  for (const item of list) page.append(item.sequence, item.topic, item.sequence * 10, Buffer.from(item.frame))
  return page
}

test.each([false, true])(
  'a read gives the wanted events between two positions, joined (sealed: %s)',
  (sealed) => {
    fc.assert(
      fc.property(
        items,
        fc.array(pattern, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 10, max: 90 }),
        fc.nat({ max: 50 }),
        (list, wanted, from, length) => {
          const page = pageOf(list)
          if (sealed) page.seal()
          const topics = new TopicSet(wanted)
          const expected = list.filter(
            (item) => item.sequence > from && item.sequence <= from + length && topics.includes(item.topic),
          )
          for (let again = 0; again < 2; again++) {
            const chunk = page.read(topics, from, from + length)
            expect(chunk.bytes?.toString() ?? '').toBe(expected.map((item) => item.frame).join(''))
            expect(chunk.events).toBe(expected.length)
            expect(chunk.position).toBe(Math.min(from + length, page.last))
          }
        },
      ),
    )
  },
)

test('readers of the same topics share the bytes', () => {
  const page = pageOf(
    ['a', 'b', 'a', 'b', 'a'].map((name, i) => ({ sequence: 11 + i, topic: name, frame: `${i};` })),
  )
  page.seal()
  const topics = new TopicSet(['a'])
  const first = page.read(topics, 10, 15).bytes as Buffer
  const second = page.read(topics, 12, 15).bytes as Buffer
  expect([first.toString(), second.toString()]).toEqual(['0;2;4;', '2;4;'])
  expect(second.buffer).toBe(first.buffer)
  page.forgetSelections()
  expect(page.read(topics, 10, 15).bytes?.toString()).toBe('0;2;4;')
})

test('a run without holes is not copied', () => {
  const page = pageOf([11, 12, 13].map((sequence) => ({ sequence, topic: 'a', frame: `${sequence};` })))
  expect(page.read(new TopicSet(['>']), 11, 13).bytes?.buffer).toBe(page.memory.buffer)
  expect(page.read(new TopicSet(['a']), 11, 13).bytes?.buffer).toBe(page.memory.buffer)
})

test('selections are bounded: more topic sets than are kept still read right', () => {
  const page = pageOf(
    Array.from({ length: 100 }, (_, i) => ({ sequence: 11 + i, topic: `t${i}`, frame: `${i};` })),
  )
  page.seal()
  const sets = Array.from({ length: 99 }, (_, i) => new TopicSet([`t${i}`, `t${i + 1}`]))
  for (const [i, set] of [...sets.entries(), ...sets.entries()])
    expect(page.read(set, 10, 200).bytes?.toString()).toBe(`${i};${i + 1};`)
})

test('firstAfter finds the first greater entry', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 30 })), fc.nat({ max: 31 }), (list, value) => {
      const ascending = list.sort((a, b) => a - b)
      const expected = ascending.findIndex((item) => item > value)
      expect(firstAfter(ascending, value)).toBe(expected < 0 ? ascending.length : expected)
    }),
  )
})
