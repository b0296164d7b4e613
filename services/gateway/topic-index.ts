import type { TopicSet } from './topic-set.ts'

interface Node<Member> {
  next: Map<string, Node<Member>>
  /** Members whose pattern ends here. */
  here: Set<Member>
  /** Members whose pattern goes on with `>` from here. */
  rest: Set<Member>
}

function newNode<Member>(): Node<Member> {
  return { next: new Map(), here: new Set(), rest: new Set() }
}

/** From a topic to the members that want it: a map for plain topics, a tree by tokens for patterns. */
export class TopicIndex<Member> {
  /** Lists, since a set takes three times the memory, and most hold one member. */
  private readonly exact = new Map<string, Member[]>()
  private readonly root: Node<Member> = newNode()
  private patternCount = 0

  add(topics: TopicSet, member: Member): void {
    for (const topic of topics.topics) {
      const members = this.exact.get(topic)
      if (members) members.push(member)
      else this.exact.set(topic, [member])
    }
    for (const pattern of topics.patterns) {
      this.patternCount++
      const { node, rest } = this.place(pattern)
      ;(rest ? node.rest : node.here).add(member)
    }
  }

  /** The member must have been added with these topics. */
  remove(topics: TopicSet, member: Member): void {
    for (const topic of topics.topics) {
      const members = this.exact.get(topic) as Member[]
      if (members.length === 1) {
        this.exact.delete(topic)
        continue
      }
      const last = members.pop() as Member
      if (last !== member) members[members.indexOf(member)] = last
    }
    for (const pattern of topics.patterns) {
      this.patternCount--
      const { node, rest } = this.place(pattern)
      ;(rest ? node.rest : node.here).delete(member)
      this.prune(pattern)
    }
  }

  /** Calls `visit` for each member that wants `topic`; more than once when several of its patterns match. */
  match(topic: string, visit: (member: Member) => void): void {
    const members = this.exact.get(topic)
    if (members) for (const member of members) visit(member)
    if (this.patternCount > 0) walk(this.root, topic.split('.'), 0, visit)
  }

  private place(pattern: string): { node: Node<Member>; rest: boolean } {
    const tokens = pattern.split('.')
    const rest = tokens.at(-1) === '>'
    if (rest) tokens.pop()
    let node = this.root
    for (const token of tokens) {
      let next = node.next.get(token)
      if (!next) {
        next = newNode()
        node.next.set(token, next)
      }
      node = next
    }
    return { node, rest }
  }

  /** Removes the branches of `pattern` that hold nobody any more. */
  private prune(pattern: string): void {
    const tokens = pattern.split('.').filter((token) => token !== '>')
    const path = [this.root]
    for (const token of tokens) path.push((path.at(-1) as Node<Member>).next.get(token) as Node<Member>)
    for (let depth = tokens.length; depth > 0; depth--) {
      const node = path[depth] as Node<Member>
      if (node.next.size + node.here.size + node.rest.size > 0) return
      ;(path[depth - 1] as Node<Member>).next.delete(tokens[depth - 1] as string)
    }
  }
}

function walk<Member>(
  node: Node<Member>,
  tokens: readonly string[],
  depth: number,
  visit: (member: Member) => void,
): void {
  if (depth === tokens.length) {
    for (const member of node.here) visit(member)
    return
  }
  for (const member of node.rest) visit(member)
  const exact = node.next.get(tokens[depth] as string)
  if (exact) walk(exact, tokens, depth + 1, visit)
  const any = node.next.get('*')
  if (any) walk(any, tokens, depth + 1, visit)
}
