import { covers, hasWildcard, normalisePatterns } from '../contract/topic.ts'

const none: readonly string[] = []

/**
 * What a subscriber wants: plain topics and patterns, in a canonical form, so that equal wishes are equal keys.
 * There may be one for each connection, so it keeps no more than it must.
 */
export class TopicSet {
  readonly key: string
  /** Topics without wildcards. */
  readonly topics: readonly string[]
  /** Topics with wildcards. */
  readonly patterns: readonly string[]

  constructor(wanted: readonly string[]) {
    const all = normalisePatterns(wanted).map(ownCopy)
    this.key = all.length === 1 ? (all[0] as string) : all.join(' ')
    const patterns = all.filter(hasWildcard)
    this.topics = patterns.length === 0 ? all : all.filter((item) => !hasWildcard(item))
    this.patterns = patterns.length === 0 ? none : patterns
  }

  get everything(): boolean {
    return this.patterns.includes('>')
  }

  /** All members, topics first. */
  get all(): string[] {
    return [...this.topics, ...this.patterns]
  }

  includes(topic: string): boolean {
    return this.topics.includes(topic) || this.patterns.some((pattern) => covers(pattern, topic))
  }
}

/** A part of an address keeps the whole of it in memory (V8's sliced strings), tokens included; a copy does not. */
function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
