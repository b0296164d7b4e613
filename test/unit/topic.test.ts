import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  covers,
  hasWildcard,
  isTopic,
  isTopicPattern,
  maxTopicBytes,
  normalisePatterns,
} from '../../services/contract/topic.ts'
import { pattern, topic } from '../support/topics.ts'

const many = (count: number, token = 'a') => Array.from({ length: count }, () => token).join('.')

test('a topic is 1 to 16 tokens of letters, digits, underscore and hyphen, joined by dots', () => {
  for (const text of ['a', 'news.tech', 'A-z_0.9', many(16), 'a'.repeat(maxTopicBytes)])
    expect(isTopic(text), text).toBe(true)
  const wrong = ['', '.', 'a.', '.a', 'a..b', 'a b', 'a\n', 'ä', 'a/b', '$x', 'a,b', many(17)]
  for (const text of [...wrong, 'a'.repeat(maxTopicBytes + 1)]) {
    expect(isTopic(text), text).toBe(false)
    expect(isTopicPattern(text), text).toBe(false)
  }
})

test('wildcards stand for whole tokens, and > only at the end', () => {
  for (const text of [
    '*',
    '>',
    'a.*',
    '*.a',
    '*.*',
    'a.>',
    '*.>',
    'a.*.b.>',
    `${many(15)}.>`,
    many(16, '*'),
  ]) {
    expect(isTopicPattern(text), text).toBe(true)
    expect(isTopic(text), text).toBe(false)
    expect(hasWildcard(text), text).toBe(true)
  }
  for (const text of ['a*', '*a', 'a.b*', '>.a', 'a.>.b', '>>', 'a>', '**', `${many(16)}.>`])
    expect(isTopicPattern(text), text).toBe(false)
  expect(hasWildcard('a.b')).toBe(false)
})

test.each([
  ['a', 'a', true],
  ['a', 'a.b', false],
  ['a.b', 'a', false],
  ['*', 'a', true],
  ['*', 'a.b', false],
  ['>', 'a', true],
  ['>', 'a.b.c', true],
  ['a.>', 'a', false],
  ['a.>', 'a.b', true],
  ['a.*', 'a.b', true],
  ['a.*', 'a.>', false],
  ['a.>', 'a.*', true],
  ['a.>', 'a.*.paid', true],
  ['*.>', '>', false],
  ['>', '*.>', true],
  ['a.*', '*.a', false],
  ['*', '>', false],
  ['a', '*', false],
  ['*.*', '*', false],
])('%s covers %s: %s', (granted, wanted, expected) => {
  expect(covers(granted, wanted)).toBe(expected)
})

/** A second opinion: the pattern as a regular expression. */
function matches(granted: string, text: string): boolean {
  const source = granted
    .split('.')
    .map((token) => (token === '*' ? '[^.]+' : token === '>' ? '.+' : token))
    .join('\\.')
  return new RegExp(`^${source}$`).test(text)
}

test('a pattern covers just those topics that NATS would match', () => {
  fc.assert(fc.property(pattern, topic, (granted, text) => covers(granted, text) === matches(granted, text)))
})

test('a pattern that covers another matches every topic that the other matches', () => {
  fc.assert(
    fc.property(pattern, pattern, topic, (granted, wanted, text) => {
      fc.pre(covers(granted, wanted) && covers(wanted, text))
      return covers(granted, text)
    }),
  )
})

test('a pattern that does not cover another misses some topic that the other matches', () => {
  const tokens = ['a', 'b', 'c', 'z']
  const all = tokens.flatMap((a) => [
    a,
    ...tokens.flatMap((b) => [`${a}.${b}`, ...tokens.map((c) => `${a}.${b}.${c}`)]),
  ])
  const texts = [...all, ...all.map((text) => `${text}.z`), ...all.map((text) => `${text}.z.z`)]
  fc.assert(
    fc.property(pattern, pattern, (granted, wanted) => {
      fc.pre(!covers(granted, wanted))
      return texts.some((text) => covers(wanted, text) && !covers(granted, text))
    }),
  )
})

test('normalising drops what another pattern covers, and changes nothing that is matched', () => {
  expect(normalisePatterns(['b', 'a', 'b'])).toEqual(['a', 'b'])
  expect(normalisePatterns(['a.b', 'a.>', 'a.*', 'c'])).toEqual(['a.>', 'c'])
  expect(normalisePatterns(['>', 'a', '*.b'])).toEqual(['>'])
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 8 }), topic, (patterns, text) => {
      const some = (list: string[]) => list.some((item) => covers(item, text))
      return some(normalisePatterns(patterns)) === some(patterns)
    }),
  )
})

test('equal wishes become equal lists, in whatever order they come', () => {
  fc.assert(
    fc.property(fc.uniqueArray(pattern, { maxLength: 8 }), (patterns) => {
      expect(normalisePatterns([...patterns].reverse())).toEqual(normalisePatterns(patterns))
    }),
  )
})
