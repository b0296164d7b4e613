import type { PublishReport } from '../generator.ts'
import type { Row } from '../row.ts'
import { count } from '../words.ts'

export const start: Row = {
  name: 'start',
  work: 'start to ready with 1 M events in the log',
  goal: '≤ 2 s',
  how: 'From starting the process until /readyz answers 200 (asked every 5 ms); the median of three.',
  run: async (bench) => {
    const events = bench.many(1_000_000)
    await bench.nats()
    const creator = await bench.gateway()
    await creator.child.stop()
    const filled = await bench.publish({ count: events, window: 20_000 }).result<PublishReport>()
    const seconds: number[] = []
    for (let i = 0; i < 3; i++) {
      const began = performance.now()
      const pod = await bench.gateway()
      seconds.push((performance.now() - began) / 1_000)
      await pod.child.stop()
    }
    const median = seconds.toSorted((a, b) => a - b)[1] as number
    return {
      measured: `${median.toFixed(2)} s with ${count(filled.stored)} events`,
      met: filled.stored === events && median <= 2,
      figures: { seconds, filled },
    }
  },
}
