import { join } from 'node:path'
import type { SubscribeReport } from '../generator.ts'
import type { Row } from '../row.ts'
import { tokenSettings, writeTokens } from '../tokens.ts'
import { count, ms } from '../words.ts'

export const connecting: Row = {
  name: 'connecting',
  work: 'connecting, with a JWT each',
  goal: '≥ 5,000 connections/s',
  how: '10,000 connections as fast as they are answered, at most 512 unanswered, each with a token of its own (HS256) that the gateway has not seen before; until all have their first block. nchan: without tokens.',
  run: async (bench) => {
    const number = bench.many(10_000)
    const tokens = writeTokens(join(bench.folder, 'tokens'), number)
    const open = async (address: string, values: Record<string, string>) => {
      const streams = bench.subscribe({ address, number, opening: 512, forever: true, ...values })
      await streams.line('open')
      await streams.stop()
      return await streams.result<SubscribeReport>()
    }
    await bench.nats()
    const pod = await bench.gateway(tokenSettings)
    const gateway = await open(pod.address, { tokens })
    await pod.child.stop()
    const peer = await bench.nchan()
    const nchan = peer && (await open(peer.address, { path: '/subscribe/bench.0' }))
    const rate = (report: SubscribeReport) => report.open / report.openSeconds
    const says = (report: SubscribeReport) =>
      `${count(rate(report))}/s, first block p99 ${ms(report.firstBlockMs?.p99)}`
    return {
      measured: says(gateway),
      peer: nchan && says(nchan),
      met: rate(gateway) >= 5_000 && gateway.open === number,
      figures: { gateway, nchan },
    }
  },
}

/** Newcomers a second. */
const busyRates = [400, 1_000]

export const connectingBusy: Row = {
  name: 'connecting-busy',
  work: 'connecting, 400/s and 1,000/s, while 500,000 deliveries/s are flowing',
  goal: 'p99 to the first block ≤ 500 ms',
  how: '5,000 connections get 100 events/s; meanwhile 2,000 more, on another topic, are opened at 400/s, and after they are gone 2,000 others at 1,000/s, with a new token each. The time is from connect() to the end of the first block.',
  run: async (bench) => {
    const number = bench.many(5_000)
    const newcomers = bench.many(2_000)
    const tokens = writeTokens(join(bench.folder, 'tokens'), number)
    await bench.nats()
    const pod = await bench.gateway(tokenSettings)
    const { address } = pod
    const streams = bench.subscribe({
      address,
      number,
      tokens,
      opening: 512,
      first: 1,
      warm: '1s',
      duration: '5m',
      forever: true,
    })
    await streams.line('open')
    const publisher = bench.publish({ rate: 100, duration: '5m' })
    await streams.line('measuring')
    const crowds: SubscribeReport[] = []
    for (const ramp of busyRates) {
      const opening = bench.subscribe({
        address,
        number: newcomers,
        path: '/v1/events?topic=quiet',
        tokens: writeTokens(join(bench.folder, `tokens-${ramp}`), newcomers, `newcomer-${ramp}`),
        ramp: bench.quick ? newcomers : ramp,
        forever: true,
      })
      await opening.line('open')
      await opening.stop()
      crowds.push(await opening.result<SubscribeReport>())
    }
    await streams.stop()
    await publisher.stop()
    const flowing = await streams.result<SubscribeReport>()
    const says = ({ firstBlockMs: first }: SubscribeReport, index: number) =>
      `${count(busyRates[index] as number)}/s: first block p50 ${ms(first?.p50)}, p99 ${ms(first?.p99)}`
    return {
      measured: `${crowds.map(says).join('; ')}; at ${count(flowing.eventsPerSecond)} deliveries/s`,
      met:
        crowds.every(
          ({ open, firstBlockMs }) =>
            open === newcomers && (firstBlockMs?.p99 ?? Number.POSITIVE_INFINITY) <= 500,
        ) && flowing.eventsPerSecond >= number * 100 * 0.98,
      figures: { opened: crowds, flowing },
    }
  },
}
