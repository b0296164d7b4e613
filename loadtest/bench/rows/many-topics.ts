import { fanOut, peerFanOut } from '../fan-out.ts'
import type { Row } from '../row.ts'
import { delivered, p99 } from '../words.ts'

export const manyTopics: Row = {
  name: 'many-topics',
  work: '5,000 connections with a topic each, 20,000 events/s over all',
  goal: 'all delivered, p99 ≤ 100 ms',
  how: 'As fanout; every connection has a topic of its own, and the topics are published to in turn. nchan gets the same over HTTP with 32 connections, since one can’t carry that many requests.',
  run: async (bench) => {
    const connections = bench.many(5_000)
    const work = { connections, topics: connections, rate: bench.many(20_000), copies: 1 }
    const timed = { ...work, size: 100, seconds: bench.seconds(6) }
    await bench.nats()
    const pod = await bench.gateway()
    const gateway = await fanOut(bench, pod.address, [pod.pid], timed)
    await pod.child.stop()
    const peer = await bench.nchan()
    const nchan =
      peer &&
      (await peerFanOut(bench, peer, timed, { http: `${peer.address}/publish/bench.%d`, workers: 32 }))
    return {
      measured: delivered(gateway),
      peer: nchan && delivered(nchan),
      met: gateway.complete && p99(gateway) <= 100,
      figures: { gateway, nchan },
    }
  },
}
