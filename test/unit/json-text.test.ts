import { assert, constantFrom, integer, json, jsonValue, nat, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { faultOf, membersOf, placeOf } from '../../services/publisher/json-text.ts'

const parses = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('membersOf', () => {
  test('finds each value of any object, however it is indented', () => {
    const objects = property(jsonValue(), jsonValue(), constantFrom('', ' ', '\t', '\n'), (a, b, indent) => {
      const object = { first: a, 'se"c\\on}d': b, third: [a, { b }] }
      const text = JSON.stringify(object, null, indent)
      const found = membersOf(text).map(({ name, start, end }) => [name, text.slice(start, end)])
      expect(found.map(([name]) => name)).toEqual(Object.keys(object))
      for (const [name, value] of found)
        expect(JSON.parse(value as string)).toEqual(JSON.parse(text)[name as string])
    })
    assert(objects)
  })

  test('an empty object has none', () => {
    expect(membersOf(' { } ')).toEqual([])
  })
})

describe('faultOf', () => {
  test('finds no fault before the end in what JSON.parse takes', () => {
    assert(
      property(json(), (text) => {
        expect(faultOf(text)).toBe(text.length)
      }),
    )
  })

  test('finds a fault within what a change broke, and what stands before it is a fit beginning', () => {
    const broken = property(
      json(),
      nat(),
      constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', '1', 'x', '\n', '\u0001'),
      integer({ min: 0, max: 1 }),
      (text, at, char, removed) => {
        const offset = at % (text.length + 1)
        const changed = text.slice(0, offset) + char + text.slice(offset + removed)
        const fault = faultOf(changed)
        expect(fault).toBeGreaterThanOrEqual(0)
        expect(fault).toBeLessThanOrEqual(changed.length)
        if (parses(changed)) expect(fault).toBe(changed.length)
        // A fault before the change is the start of the token that it broke.
        else if (fault < offset) expect(changed.slice(fault, offset)).not.toMatch(/^[[\]{},:]/)
      },
    )
    assert(broken, { numRuns: 2000 })
  })
})

test('placeOf counts lines and columns from 1, from the line on which the text starts', () => {
  expect(placeOf('ab\ncd', 0)).toEqual({ line: 1, column: 1 })
  expect(placeOf('ab\ncd', 4)).toEqual({ line: 2, column: 2 })
  expect(placeOf('ab\ncd', 4, 10)).toEqual({ line: 11, column: 2 })
})
