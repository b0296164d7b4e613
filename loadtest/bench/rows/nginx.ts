import { setTimeout as sleep } from 'node:timers/promises'
import { fanOut } from '../fan-out.ts'
import type { Row } from '../row.ts'
import { residentBytes } from '../usage.ts'
import { delivered, kilobytes } from '../words.ts'

export const throughNginx: Row = {
  name: 'nginx',
  work: 'through Nginx',
  goal: 'Nginx’s CPU-seconds per million deliveries ≤ 1.5 × the gateway’s; Nginx memory per stream ≤ 16 KB',
  how: '5,000 connections, one topic, 10 events/s of 100 B; gateway on core 0, Nginx (one worker, the project’s configuration) on core 1 with the load. Then the same at 100/s, where flushes join. Memory: the worker’s with 5,000 quiet streams less without.',
  run: async (bench) => {
    const connections = bench.many(5_000)
    await bench.nats()
    const pod = await bench.gateway()
    const nginx = await bench.nginx(pod, 1)
    const empty = residentBytes(nginx.pid)
    const quiet = bench.subscribe({
      address: nginx.address,
      number: connections,
      opening: 512,
      forever: true,
    })
    await quiet.line('open')
    await sleep(1_000)
    const bytesEach = (residentBytes(nginx.pid) - empty) / connections
    await quiet.stop()
    const at = async (rate: number) => {
      const work = { connections, rate, size: 100, seconds: bench.seconds(6) }
      const result = await fanOut(bench, nginx.address, [pod.pid, nginx.pid], work)
      const perMillion = result.cpu.map((cpu) => (cpu / result.subscribers.eventsPerSecond) * 1e6)
      return { ...result, perMillion: { gateway: perMillion[0] as number, nginx: perMillion[1] as number } }
    }
    const slow = await at(10)
    const fast = await at(100)
    const says = ({ gateway, nginx }: { gateway: number; nginx: number }) =>
      `gateway ${gateway.toFixed(2)} s, Nginx ${nginx.toFixed(2)} s (${(nginx / gateway).toFixed(2)} ×)`
    return {
      measured: `per million at 10/s: ${says(slow.perMillion)}; at 100/s: ${says(fast.perMillion)}, ${delivered(fast)}; ${kilobytes(bytesEach)} per stream`,
      met: slow.complete && slow.perMillion.nginx <= 1.5 * slow.perMillion.gateway && bytesEach <= 16 * 1024,
      figures: { slow, fast, bytesEach },
    }
  },
}
