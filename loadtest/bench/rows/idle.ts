import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench } from '../bench.ts'
import type { Row } from '../row.ts'
import { tokenSettings, writeTokens } from '../tokens.ts'
import { cpuSeconds, residentBytes } from '../usage.ts'
import { kilobytes, megabytes, percent } from '../words.ts'

interface Idle {
  connections: number
  emptyBytes: number
  fullBytes: number
  bytesEach: number
  emptyCpu: number
  fullCpu: number
}

/** A quiet time of a process: seconds of CPU per second. */
async function quietCpu(pid: number, seconds: number): Promise<number> {
  const before = cpuSeconds(pid)
  await sleep(seconds * 1_000)
  return (cpuSeconds(pid) - before) / seconds
}

async function idleAt(
  bench: Bench,
  pid: number,
  subscribe: Record<string, string | number | boolean>,
): Promise<Idle> {
  const connections = Number(subscribe.number)
  const emptyCpu = await quietCpu(pid, bench.quick ? 3 : 15)
  const emptyBytes = residentBytes(pid)
  const streams = bench.subscribe({ ...subscribe, opening: 512, forever: true, timeout: '20m' })
  await streams.line('open')
  await sleep(bench.quick ? 3_000 : 60_000)
  const fullBytes = residentBytes(pid)
  // Four heartbeats.
  const fullCpu = await quietCpu(pid, bench.quick ? 3 : 60)
  await streams.stop()
  const { open } = await streams.result<{ open: number }>()
  if (open !== connections) throw new Error(`${open} of ${connections} streams were open at the end`)
  return {
    connections,
    emptyBytes,
    fullBytes,
    bytesEach: (fullBytes - emptyBytes) / connections,
    emptyCpu,
    fullCpu,
  }
}

export const idle: Row = {
  name: 'idle',
  work: '10,000 idle connections with a JWT each',
  goal: '≤ 4 KB resident each beyond the empty process, after a quiet minute; heartbeats ≤ 3 % of the core at 15 s',
  how: 'Resident memory of the gateway, empty for 15 s, and 60 s after the last connection was opened; then its CPU over 60 s (4 heartbeats), less that of the empty process. Twice: all on one topic, and with a topic each. nchan: the same connections on one topic, without tokens and heartbeats.',
  run: async (bench) => {
    const number = bench.many(10_000)
    const tokens = writeTokens(join(bench.folder, 'tokens'), number)
    await bench.nats()
    const gatewayAt = async (topics: number) => {
      const pod = await bench.gateway({
        ...tokenSettings,
        HEARTBEAT_INTERVAL_MS: bench.quick ? 1_000 : 15_000,
      })
      const idle = await idleAt(bench, pod.pid, { address: pod.address, number, tokens, topics })
      await pod.child.stop()
      return { ...idle, heartbeats: idle.fullCpu - idle.emptyCpu }
    }
    const gateway = await gatewayAt(1)
    const manyTopics = await gatewayAt(number)
    const peer = await bench.nchan()
    const nchan =
      peer && (await idleAt(bench, peer.pid, { address: peer.address, number, path: '/subscribe/bench.0' }))
    const says = ({ bytesEach, fullBytes, heartbeats }: typeof gateway) =>
      `${kilobytes(bytesEach)} each, ${megabytes(fullBytes)} in all; heartbeats ${percent(heartbeats)}`
    return {
      measured: `one topic: ${says(gateway)}; a topic each: ${says(manyTopics)}`,
      peer: nchan && `${kilobytes(nchan.bytesEach)} each`,
      met: [gateway, manyTopics].every(
        ({ bytesEach, heartbeats }) => bytesEach <= 4 * 1024 && heartbeats <= 0.03,
      ),
      figures: { gateway, manyTopics, nchan },
    }
  },
}
