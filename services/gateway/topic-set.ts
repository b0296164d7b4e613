import { covers, hasWildcard, normalisePatterns } from '../contract/topic.ts'

/** What a subscriber wants: plain topics and patterns, in a canonical form, so that equal wishes are equal keys. */
export class TopicSet {
  readonly key: string
  /** Topics without wildcards. */
  readonly topics: readonly string[]
  /** Topics with wildcards. */
  readonly patterns: readonly string[]
  readonly everything: boolean
  private readonly exact: ReadonlySet<string>

  constructor(wanted: readonly string[]) {
    const all = normalisePatterns(wanted)
    this.key = all.join(' ')
    this.topics = all.filter((item) => !hasWildcard(item))
    this.patterns = all.filter(hasWildcard)
    this.everything = this.patterns.includes('>')
    this.exact = new Set(this.topics)
  }

  /** All members, topics first. */
  get all(): string[] {
    return [...this.topics, ...this.patterns]
  }

  includes(topic: string): boolean {
    return this.everything || this.exact.has(topic) || this.patterns.some((pattern) => covers(pattern, topic))
  }
}
