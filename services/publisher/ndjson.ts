export interface Line {
  /** From 1, as an editor counts. */
  number: number
  text: string
}

/** The lines of an NDJSON body. Blank ones are skipped, as its specification allows, but counted. */
export function* linesOf(body: string): Generator<Line> {
  let start = 0
  for (let number = 1; start < body.length; number++) {
    const newline = body.indexOf('\n', start)
    const end = newline === -1 ? body.length : newline
    const text = body.slice(start, body[end - 1] === '\r' ? end - 1 : end)
    if (text.trim() !== '') yield { number, text }
    start = end + 1
  }
}
