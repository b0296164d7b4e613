import fc from 'fast-check'

const token = fc.constantFrom('a', 'b', 'c')

/** Short topics over few tokens, so that they often meet. */
export const topic = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join('.'))

/** Topics and patterns of the same kind. */
export const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant('*')), { maxLength: 3 }), fc.boolean())
  .map(([tokens, rest]) => [...tokens, ...(rest || tokens.length === 0 ? ['>'] : [])].join('.'))
