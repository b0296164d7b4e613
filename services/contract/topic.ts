/**
 * Topics: where an event belongs, and which events a subscriber wants.
 *
 * A topic is 1 to 16 tokens of `A-Z a-z 0-9 _ -` joined by dots. A topic pattern may use the NATS wildcards
 * `*` (exactly one token) and `>` (one or more tokens, only at the end).
 */

export const maxTopicTokens = 16
/** With 255 bytes a subject stays well below the limits of every NATS server and of a log line. */
export const maxTopicBytes = 255

const token = '[A-Za-z0-9_-]+'
const topicExpression = new RegExp(`^${token}(?:\\.${token}){0,${maxTopicTokens - 1}}$`)
const patternToken = `(?:${token}|\\*)`
const patternExpression = new RegExp(
  `^(?:>|${patternToken}(?:\\.${patternToken}){0,${maxTopicTokens - 1}}|${patternToken}(?:\\.${patternToken}){0,${maxTopicTokens - 2}}\\.>)$`,
)

/** True when `text` names one topic, without wildcards. */
export function isTopic(text: string): boolean {
  return text.length <= maxTopicBytes && topicExpression.test(text)
}

/** True when `text` is a topic or a pattern over topics. */
export function isTopicPattern(text: string): boolean {
  return text.length <= maxTopicBytes && patternExpression.test(text)
}

export function hasWildcard(pattern: string): boolean {
  return pattern.includes('*') || pattern.endsWith('>')
}

/**
 * True when every topic that `wanted` can match is matched by `granted` too: `orders.>` covers `orders.*.paid`,
 * and `orders.*` does not cover `orders.>`. With a plain topic as `wanted` this is the match itself.
 */
export function covers(granted: string, wanted: string): boolean {
  if (granted === wanted || granted === '>') return true
  const grantedTokens = granted.split('.')
  const wantedTokens = wanted.split('.')
  for (let i = 0; i < grantedTokens.length; i++) {
    const grantedToken = grantedTokens[i]
    const wantedToken = wantedTokens[i]
    if (wantedToken === undefined) return false
    if (grantedToken === '>') return true
    if (wantedToken === '>') return false
    if (grantedToken !== '*' && grantedToken !== wantedToken) return false
  }
  return grantedTokens.length === wantedTokens.length
}

/** Drops patterns that another one of the list covers, and sorts: equal wishes become equal lists. */
export function normalisePatterns(patterns: readonly string[]): string[] {
  if (patterns.length === 1) return [...patterns]
  const distinct = [...new Set(patterns)].sort()
  if (!distinct.some(hasWildcard)) return distinct
  return distinct.filter((pattern) => !distinct.some((other) => other !== pattern && covers(other, pattern)))
}
