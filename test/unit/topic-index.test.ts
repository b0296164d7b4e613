import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TopicIndex } from '../../services/gateway/topic-index.ts'
import { TopicSet } from '../../services/gateway/topic-set.ts'
import { pattern, topic } from '../support/topics.ts'

function matched(index: TopicIndex<TopicSet>, text: string): Set<TopicSet> {
  const found = new Set<TopicSet>()
  index.match(text, (member) => found.add(member))
  return found
}

const topicSet = fc.array(pattern, { minLength: 1, maxLength: 4 }).map((wanted) => new TopicSet(wanted))

test('an event finds just the members that want its topic, while members come and go', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(topicSet, fc.boolean()), { maxLength: 12 }),
      fc.array(topic, { minLength: 1, maxLength: 10 }),
      (members, texts) => {
        const index = new TopicIndex<TopicSet>()
        for (const [set] of members) index.add(set, set)
        for (const [set, leaves] of members) if (leaves) index.remove(set, set)
        const left = members.flatMap(([set, leaves]) => (leaves ? [] : [set]))
        for (const text of texts)
          expect(matched(index, text)).toEqual(new Set(left.filter((set) => set.includes(text))))
      },
    ),
  )
})

test('members that have left leave nothing behind', () => {
  fc.assert(
    fc.property(fc.array(topicSet, { maxLength: 12 }), (sets) => {
      const index = new TopicIndex<TopicSet>()
      for (const set of sets) index.add(set, set)
      for (const set of sets) index.remove(set, set)
      expect(index).toEqual(new TopicIndex())
    }),
  )
})

test('a member stays as long as its equal twin leaves', () => {
  const index = new TopicIndex<string>()
  const set = new TopicSet(['a', 'a.*', 'b.>'])
  index.add(set, 'one')
  index.add(set, 'two')
  index.remove(set, 'one')
  const found: string[] = []
  for (const text of ['a', 'a.x', 'b.c.d']) index.match(text, (member) => found.push(member))
  expect(found).toEqual(['two', 'two', 'two'])
})
