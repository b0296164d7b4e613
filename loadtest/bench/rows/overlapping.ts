import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fanOut } from '../fan-out.ts'
import type { Row } from '../row.ts'
import { delivered, p99 } from '../words.ts'

const topics = 1_000
const topicsEach = 10

/**
 * What connection `index` subscribes to. No two have the same set; every tenth has a wildcard, which covers a hundred
 * topics and some that it names as well.
 */
function subscription(index: number): { path: string; size: number } {
  const wanted = new Set<number>()
  const step = 1 + 2 * Math.floor(index / topics) + (index % 7) * 10
  for (let i = 0; i < topicsEach; i++) wanted.add((index + i * step) % topics)
  const patterns = [...wanted].map((topic) => `bench.${Math.floor(topic / 100)}.${topic}`)
  if (index % 10 === 0) {
    const group = Math.floor((index % topics) / 100)
    patterns[patterns.length - 1] = `bench.${group}.*`
    const last = [...wanted].at(-1) as number
    wanted.delete(last)
    for (let topic = group * 100; topic < (group + 1) * 100; topic++) wanted.add(topic)
  }
  return { path: `/v1/events?${patterns.map((pattern) => `topic=${pattern}`).join('&')}`, size: wanted.size }
}

export const overlapping: Row = {
  name: 'overlapping',
  work: '5,000 connections, 10 topics each out of 1,000, overlapping and wildcards, 2,000 events/s',
  goal: 'all delivered, p99 ≤ 100 ms',
  how: 'As fanout; no two connections have the same topics, one in ten has a wildcard over 100 topics in place of one, which overlaps with others that it names. Numbers are checked for each topic on each connection.',
  run: async (bench) => {
    const connections = bench.many(5_000)
    const subscriptions = Array.from({ length: connections }, (_, index) => subscription(index))
    const paths = join(bench.folder, 'paths')
    writeFileSync(paths, `${subscriptions.map(({ path }) => path).join('\n')}\n`)
    const ledgers = subscriptions.reduce((sum, { size }) => sum + size, 0)
    await bench.nats()
    const pod = await bench.gateway()
    const gateway = await fanOut(bench, pod.address, [pod.pid], {
      connections,
      rate: 2_000,
      topics,
      copies: ledgers / topics,
      seconds: bench.seconds(6),
      subscribe: { paths, byTopic: true },
      publish: { subject: 'bench.%h.%d' },
    })
    const complete = gateway.complete && gateway.subscribers.ledgers === ledgers
    return {
      measured: delivered({ ...gateway, complete }),
      met: complete && p99(gateway) <= 100,
      figures: { gateway, ledgers },
    }
  },
}
