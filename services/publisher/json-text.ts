/**
 * JSON as text: where its members stand, so that a publisher's bytes can be passed on untouched, and where it is
 * broken. `JSON.parse` tells neither.
 */

export interface Member {
  name: string
  /** Where the value starts and ends in the text. */
  start: number
  end: number
}

/** The members of the object that `text` is, in order. `text` must be a valid JSON object. */
export function membersOf(text: string): Member[] {
  const members: Member[] = []
  let at = skipSpace(text, 0) + 1
  for (;;) {
    at = skipSpace(text, at)
    if (text[at] === '}') return members
    if (text[at] === ',') at = skipSpace(text, at + 1)
    const nameEnd = endOfString(text, at)
    const quoted = text.slice(at, nameEnd)
    const name = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1)
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1)
    at = endOfValue(text, start)
    members.push({ name, start, end: at })
  }
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}

/** `from` is the opening quote. */
function endOfString(text: string, from: number): number {
  let quote = from
  for (;;) {
    quote = text.indexOf('"', quote + 1)
    let backslashes = 0
    while (text[quote - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return quote + 1
  }
}

function endOfValue(text: string, from: number): number {
  let depth = 0
  let at = from
  while (at < text.length) {
    const char = text[at]
    if (char === '"') {
      at = endOfString(text, at)
      if (depth === 0) return at
      continue
    }
    if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') {
      if (depth === 0) return at
      depth--
      if (depth === 0) return at + 1
    } else if (depth === 0 && (char === ',' || isSpace(text.charCodeAt(at)))) return at
    at++
  }
  return at
}

// Space, then punctuation, a string, or another literal. A token per match, sticky.
const token =
  /[ \t\n\r]*(?:([[\]{},:])|("(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|((?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![\w.+-])))/y

type Expected = 'value' | 'value or ]' | 'name' | 'name or }' | 'colon' | 'comma or end' | 'nothing'

/** Where `text` stops being JSON: the start of the first token that does not fit. Its length when it ends too early. */
export function faultOf(text: string): number {
  const open: string[] = []
  let expected: Expected = 'value'
  let at = 0
  const valueDone = (): Expected => (open.length > 0 ? 'comma or end' : 'nothing')
  for (;;) {
    token.lastIndex = at
    const match = token.exec(text)
    if (!match) return skipSpace(text, at)
    const end = token.lastIndex
    const start = skipSpace(text, at)
    const [, mark, string] = match
    const inObject = open.at(-1) === '{'
    if (mark === '{' && expected.startsWith('value')) {
      open.push(mark)
      expected = 'name or }'
    } else if (mark === '[' && expected.startsWith('value')) {
      open.push(mark)
      expected = 'value or ]'
    } else if (
      (mark === '}' && (expected === 'name or }' || (expected === 'comma or end' && inObject))) ||
      (mark === ']' && (expected === 'value or ]' || (expected === 'comma or end' && !inObject)))
    ) {
      open.pop()
      expected = valueDone()
    } else if (mark === ',' && expected === 'comma or end') expected = inObject ? 'name' : 'value'
    else if (mark === ':' && expected === 'colon') expected = 'value'
    else if (string !== undefined && expected.startsWith('name')) expected = 'colon'
    else if (mark === undefined && expected.startsWith('value')) expected = valueDone()
    else return start
    at = end
  }
}

export interface Place {
  /** From 1. */
  line: number
  /** From 1, in UTF-16 units as editors count. */
  column: number
}

/** The place of `offset` in `text`, whose first line is line `firstLine` of the body. */
export function placeOf(text: string, offset: number, firstLine = 1): Place {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: firstLine + before.split('\n').length - 1, column: offset - lineStart + 1 }
}
