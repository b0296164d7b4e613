import fc from 'fast-check'
import { expect, test } from 'vitest'
import { covers } from '../../services/contract/topic.ts'
import { TopicSet } from '../../services/gateway/topic-set.ts'
import { pattern, topic } from '../support/topics.ts'

test('equal wishes have equal keys, whatever their order and repetition', () => {
  expect(new TopicSet(['b', 'a.*', 'a.x', 'b']).key).toBe(new TopicSet(['a.*', 'b']).key)
  expect(new TopicSet(['a']).key).not.toBe(new TopicSet(['b']).key)
})

test('it knows plain topics, patterns and everything', () => {
  const set = new TopicSet(['a', 'b.*', 'c.>'])
  expect([set.topics, set.patterns, set.everything]).toEqual([['a'], ['b.*', 'c.>'], false])
  expect(set.all).toEqual(['a', 'b.*', 'c.>'])
  expect(new TopicSet(['a', '>'])).toMatchObject({ topics: [], patterns: ['>'], everything: true })
})

test('it includes just what one of its members covers', () => {
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 6 }), topic, (wanted, text) => {
      return new TopicSet(wanted).includes(text) === wanted.some((item) => covers(item, text))
    }),
  )
})
