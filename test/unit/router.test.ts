import { beforeEach, describe, expect, test } from 'vitest'
import { RecentLog } from '../../services/gateway/recent-log.ts'
import { Router } from '../../services/gateway/router.ts'
import type { Group, Subscriber, SubscriberState } from '../../services/gateway/subscriber.ts'

/** A subscriber that notes what it gets, and pushes back when told. The simulation does worse things to it. */
class Fake implements Subscriber {
  readonly group: Group
  state: SubscriberState = 'behind'
  position: number
  liveIndex = -1
  flushed = -1
  pushesBack = false
  got: Buffer[] = []
  onWrite: (() => void) | undefined
  liveAt: number | undefined
  fallen = 0

  constructor(topics: string[], position = router.boundary) {
    this.group = router.join(topics)
    this.position = position
    router.resume(this)
  }

  get text(): string {
    return this.got.join('')
  }

  write(bytes: Buffer): boolean {
    this.got.push(bytes)
    this.onWrite?.()
    return !this.pushesBack
  }

  becameLive(position: number): boolean {
    this.liveAt = position
    return !this.pushesBack
  }

  fellBehind(): void {
    this.fallen++
  }
}

let log: RecentLog
let router: Router
let replaying: Subscriber[]

beforeEach(() => {
  log = new RecentLog({ maxBytes: 40, pageBytes: 10 })
  replaying = []
  router = new Router({
    recentLog: log,
    replay: (subscriber) => replaying.push(subscriber),
    heartbeat: (position) => Buffer.from(`[${position}]`),
  })
})

/** Appends events named by sequence and topic, such as `7a`. */
function append(...topics: string[]): void {
  for (const topic of topics) {
    const sequence = log.head + 1
    const frame = Buffer.from(`${sequence}${topic}`)
    log.append(sequence, topic, 0, frame)
    router.append(sequence, topic, frame)
  }
}

function run(): void {
  while (router.busy) router.step(64)
}

describe('a flush', () => {
  test('is joined once, and the same bytes go to every member of a group', () => {
    const subscribers = [new Fake(['a']), new Fake(['a']), new Fake(['a', 'b']), new Fake(['c'])]
    run()
    append('a', 'b', 'a')
    run()
    expect(subscribers.map(({ text }) => text)).toEqual(['1a3a', '1a3a', '1a2b3a', ''])
    expect(subscribers[0]?.got[0]).toBe(subscribers[1]?.got[0])
    expect(router.counters).toMatchObject({ flushes: 1, joins: 2, writes: 3, deliveredEvents: 7 })
  })

  test('has an event once, though several patterns match', () => {
    const subscriber = new Fake(['a.*', '*.b', 'a.b.>'])
    run()
    append('a.b')
    run()
    expect(subscriber.text).toBe('1a.b')
  })

  test('goes out in slices of the budget, and nobody gets it twice or not at all', () => {
    const subscribers = Array.from({ length: 10 }, (_, i) => new Fake([i % 2 ? 'a' : '>']))
    run()
    append('a')
    let steps = 0
    for (; router.busy; steps++) {
      const before = router.counters.writes
      router.step(3)
      expect(router.counters.writes - before).toBeLessThanOrEqual(4)
    }
    expect(steps).toBe(4)
    for (const { text } of subscribers) expect(text).toBe('1a')
  })

  test('that is under way does not reach who leaves, and members who leave inside a write disturb nobody', () => {
    const subscribers = Array.from({ length: 8 }, () => new Fake(['a']))
    run()
    const [first, second, , , , , , last] = subscribers as [Fake, Fake, Fake, Fake, Fake, Fake, Fake, Fake]
    last.onWrite = () => {
      for (const subscriber of subscribers) if (subscriber !== first) router.leave(subscriber)
    }
    append('a')
    run()
    expect([first.text, last.text, second.text]).toEqual(['1a', '1a', ''])
    expect(first.group.size).toBe(1)
  })

  test('that comes meanwhile waits for the one under way', () => {
    const subscribers = [new Fake(['a']), new Fake(['a'])]
    run()
    append('a')
    router.step(1)
    append('a')
    expect([router.boundary, router.flushedTo]).toEqual([1, 0])
    run()
    for (const { text } of subscribers) expect(text).toBe('1a2a')
    expect(router.flushedTo).toBe(2)
  })

  test('in whose course a group is made leaves nothing out for the group', () => {
    for (let i = 0; i < 4; i++) new Fake(['a'])
    run()
    append('a')
    router.step(1)
    append('b')
    const late = new Fake(['b'])
    router.step(4)
    append('b')
    run()
    expect(late.text).toBe('2b3b')
    expect(late.state).toBe('live')
  })
})

describe('a heartbeat', () => {
  test('goes to everybody who has everything up to it, with events or without', () => {
    const [a, b, slow] = [new Fake(['a']), new Fake(['b']), new Fake(['a'])]
    run()
    slow.pushesBack = true
    append('a')
    run()
    append('a')
    router.heartbeat()
    run()
    expect([a.text, b.text, slow.text]).toEqual(['1a2a[2]', '[2]', '1a'])
  })

  test('makes no event wait until all have theirs', () => {
    const many = Array.from({ length: 100 }, () => new Fake(['q']))
    const a = new Fake(['a'])
    run()
    router.heartbeat()
    router.step(4)
    append('a')
    router.step(4)
    expect(a.text).toContain('1a')
    expect(many.filter(({ text }) => text !== '').length).toBeLessThan(10)
    run()
    expect(many.every(({ text }) => text === '[0]' || text === '[1]')).toBe(true)
  })

  test('amid a flush goes back behind nothing that the flush has written', () => {
    const many = Array.from({ length: 40 }, () => new Fake(['a']))
    run()
    append('a')
    router.step(8)
    router.heartbeat()
    append('a')
    run()
    for (const { text } of many) {
      const ids = [...text.matchAll(/\d+/g)].map(([id]) => Number(id))
      expect(ids).toEqual(ids.toSorted((one, other) => one - other))
    }
  })
})

describe('a reader that pushes back', () => {
  test('is left alone until it drains, and reads on from its position', () => {
    const slow = new Fake(['a'])
    run()
    slow.pushesBack = true
    append('a')
    run()
    expect([slow.state, slow.position]).toEqual(['blocked', 1])
    append('a', 'b', 'a')
    run()
    expect(slow.text).toBe('1a')
    slow.pushesBack = false
    router.drained(slow)
    run()
    expect([slow.text, slow.state]).toEqual(['1a2a4a', 'live'])
  })

  test('goes to replay when its position has fallen off the recent log', () => {
    const slow = new Fake(['a'])
    run()
    slow.pushesBack = true
    append('a')
    run()
    append(...Array(30).fill('a'))
    run()
    expect(log.floor).toBeGreaterThan(1)
    router.drained(slow)
    run()
    expect([slow.state, slow.fallen, replaying]).toEqual(['replaying', 1, [slow]])
    slow.position = log.floor
    slow.pushesBack = false
    router.resume(slow)
    run()
    expect([slow.state, slow.liveAt]).toEqual(['live', 31])
  })
})

describe('a position', () => {
  test('behind is read from the recent log before live events', () => {
    append('a', 'b', 'a')
    run()
    const subscriber = new Fake(['a'], 1)
    append('a')
    run()
    expect([subscriber.text, subscriber.liveAt]).toEqual(['3a4a', 4])
  })

  test('ahead of this pod’s tail waits for the tail, and what lies before it is not sent', () => {
    append('a')
    run()
    const early = new Fake(['a'], 3)
    run()
    expect([early.state, router.early.size]).toEqual(['early', 1])
    append('a', 'a')
    run()
    expect([early.state, early.text, early.liveAt]).toEqual(['live', '', 3])
    append('a')
    run()
    expect(early.text).toBe('4a')
  })

  test('is told as what has surely been written, also in the middle of a flush', () => {
    const subscribers = [new Fake(['a']), new Fake(['a'])]
    run()
    append('a')
    router.step(1)
    expect(subscribers.map((subscriber) => router.positionOf(subscriber)).sort()).toEqual([0, 1])
    expect(subscribers.map(({ text }) => text).sort()).toEqual(['', '1a'])
    run()
    expect(subscribers.map((subscriber) => router.positionOf(subscriber))).toEqual([1, 1])
  })
})

describe('a restart', () => {
  test('drops what was not flushed, and everybody goes on where the caller says', () => {
    const [live, slow, early] = [new Fake(['a']), new Fake(['a']), new Fake(['a'], 90)]
    run()
    slow.pushesBack = true
    append('a')
    run()
    append('a')
    const all = [live, slow, early]
    log.restart(0)
    router.restart(0, all)
    expect(all.map(({ state, position }) => [state, position])).toEqual([
      ['behind', 1],
      ['blocked', 1],
      ['behind', 90],
    ])
    for (const subscriber of all) {
      subscriber.position = 0
      if (subscriber.state !== 'blocked') router.resume(subscriber)
    }
    run()
    append('a')
    slow.pushesBack = false
    router.drained(slow)
    run()
    expect(all.map(({ text }) => text)).toEqual(['1a1a', '1a1a', '1a'])
    expect(all.map(({ state }) => state)).toEqual(['live', 'live', 'live'])
  })
})

describe('leaving', () => {
  test.each<[string, () => Fake]>([
    ['live', () => new Fake(['a', '*.b', 'c.>'])],
    ['early', () => new Fake(['a', '*.b', 'c.>'], 50)],
    ['replaying', () => new Fake(['a', '*.b', 'c.>'], -1)],
  ])('in state %s leaves nothing behind', (state, make) => {
    const subscriber = make()
    run()
    expect(subscriber.state).toBe(state)
    router.leave(subscriber)
    router.leave(subscriber)
    append('a')
    run()
    expect([subscriber.state, subscriber.text, router.groups.size, router.early.size]).toEqual([
      'closed',
      '',
      0,
      0,
    ])
  })

  test('and coming back makes the group anew, without old frames', () => {
    const first = new Fake(['a'])
    run()
    append('a')
    router.leave(first)
    const second = new Fake(['a'], 1)
    run()
    expect([first.text, second.text, second.state]).toEqual(['', '', 'live'])
  })
})

test('who catches up gets a share, though flushes never end', () => {
  for (let i = 0; i < 20; i++) new Fake(['a'])
  run()
  append('a')
  const behind = new Fake(['a'], 0)
  for (let i = 0; i < 5; i++) {
    append('a')
    router.step(8)
  }
  expect(behind.got.length).toBeGreaterThan(0)
})
