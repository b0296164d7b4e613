import { afterEach, expect, test, vi } from 'vitest'
import { Connection } from '../../services/gateway/connection.ts'
import { Page } from '../../services/gateway/page.ts'
import { Replay, type ReplayOptions } from '../../services/gateway/replay.ts'
import { Router } from '../../services/gateway/router.ts'
import { StretchReader } from '../../services/gateway/stretch-reader.ts'
import type { Subscriber } from '../../services/gateway/subscriber.ts'
import { Simulation, SimulationFailure } from './simulation.ts'

/** SEED=123 runs that one again; SEEDS=20000 looks longer than usual. */
const { SEED, SEEDS } = process.env
const seeds = SEED ? [Number(SEED)] : Array.from({ length: Number(SEEDS ?? 3_000) }, (_, i) => i + 1)
const stepsPerSeed = 250

test(`every client gets exactly its events, whatever happens (${seeds.length} seeds)`, async () => {
  const gaps = new Set<string>()
  let events = 0
  let sweeps = 0
  for (const seed of seeds) {
    const summary = await new Simulation(seed).run(stepsPerSeed)
    events += summary.events
    sweeps += summary.sweeps
    for (const reason of Object.keys(summary.gaps)) gaps.add(reason)
  }
  if (seeds.length < 100) return
  // Otherwise the runs would be harmless ones.
  expect([...gaps].sort()).toEqual(['ahead', 'expired', 'malformed', 'reset'])
  expect(events).toBeGreaterThan(100 * seeds.length)
  expect(sweeps).toBeGreaterThan(seeds.length)
})

/** The first failure among some hundred runs. */
async function firstFailure(): Promise<string> {
  for (let seed = 1; seed <= 300; seed++) {
    try {
      await new Simulation(seed).run(stepsPerSeed)
    } catch (error) {
      if (error instanceof SimulationFailure) return error.message
      throw error
    }
  }
  return 'none'
}

// Private members on purpose: each of these tests breaks one line of the gateway.
const routerInsides = Router.prototype as unknown as { enterLive(subscriber: Subscriber): void }

afterEach(() => vi.restoreAllMocks())

test('the simulation notices a lost event', async () => {
  const append = Router.prototype.append
  vi.spyOn(Router.prototype, 'append').mockImplementation(function (this: Router, sequence, topic, frame) {
    if (sequence % 20 !== 0) append.call(this, sequence, topic, frame)
  })
  expect(await firstFailure()).toMatch(/SEED=\d+: client .* passes over event \d+, which never came/)
})

test('the simulation notices an event that comes twice', async () => {
  const enterLive = routerInsides.enterLive
  vi.spyOn(routerInsides, 'enterLive').mockImplementation(function (this: Router, subscriber: Subscriber) {
    enterLive.call(this, subscriber)
    subscriber.flushed = -1
  })
  expect(await firstFailure()).toMatch(/goes back behind/)
})

test('the simulation notices a page that is read one event too far back', async () => {
  const read = Page.prototype.read
  vi.spyOn(Page.prototype, 'read').mockImplementation(function (this: Page, topics, from, to) {
    return read.call(this, topics, from - 1, to)
  })
  expect(await firstFailure()).toMatch(/goes back behind/)
})

test('the simulation notices a heartbeat that runs ahead', async () => {
  const resume = Router.prototype.resume
  vi.spyOn(Router.prototype, 'resume').mockImplementation(function (this: Router, subscriber) {
    resume.call(this, subscriber)
    if (subscriber.state === 'behind') routerInsides.enterLive.call(this, subscriber)
  })
  expect(await firstFailure()).toMatch(/never came/)
})

test('the simulation notices a write to a socket that pushes back', async () => {
  vi.spyOn(Replay.prototype, 'block').mockImplementation(() => undefined)
  expect(await firstFailure()).toMatch(/is written to while it pushes back/)
})

test('the simulation notices a replay that takes a copy of the log for the whole of it', async () => {
  const open = StretchReader.open
  vi.spyOn(StretchReader, 'open').mockImplementation((options, plan) =>
    open.call(StretchReader, options, plan, (options as ReplayOptions).tailPosition()),
  )
  expect(await firstFailure()).toMatch(/never came/)
})

test('the simulation notices a client that starves', async () => {
  vi.spyOn(Router.prototype, 'drained').mockImplementation(() => undefined)
  expect(await firstFailure()).toMatch(/is not live/)
})

test('the simulation notices a gap that is not told', async () => {
  vi.spyOn(Connection.prototype, 'tell').mockImplementation(() => true)
  expect(await firstFailure()).not.toBe('none')
})
