const realImmediate = setImmediate
const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  random: Math.random,
  dateNow: Date.now,
  performanceNow: performance.now,
}

interface Timer {
  at: number
  every: number | undefined
  run: () => void
  unref: () => Timer
  ref: () => Timer
}

/** Time that passes only when told, in place of Node's timers and clocks between `install` and `restore`. */
export class VirtualTime {
  now = 1_000_000
  private immediates: (() => void)[] = []
  private readonly timers = new Set<Timer>()

  install(random: () => number): void {
    const fakes: Record<string, unknown> = {
      setTimeout: (run: () => void, ms = 0) => this.timer(run, ms, undefined),
      setInterval: (run: () => void, ms = 0) => this.timer(run, ms, ms),
      clearTimeout: (timer: Timer) => this.timers.delete(timer),
      clearInterval: (timer: Timer) => this.timers.delete(timer),
      setImmediate: (run: () => void) => this.immediates.push(run),
    }
    Object.assign(globalThis, fakes)
    Math.random = random
    Date.now = () => this.now
    performance.now = () => this.now
  }

  restore(): void {
    const { random, dateNow, performanceNow, ...timers } = real
    Object.assign(globalThis, timers)
    Math.random = random
    Date.now = dateNow
    performance.now = performanceNow
  }

  /** Lets `ms` pass: runs what waits for the end of a turn, then what is due, then all promises. */
  async pass(ms: number): Promise<void> {
    this.now += ms
    const immediates = this.immediates
    this.immediates = []
    for (const run of immediates) run()
    for (const timer of this.timers) {
      if (timer.at > this.now) continue
      if (timer.every === undefined) this.timers.delete(timer)
      else timer.at = this.now + timer.every
      timer.run()
    }
    await new Promise<void>((resolve) => realImmediate(resolve))
  }

  private timer(run: () => void, ms: number, every: number | undefined): Timer {
    const timer: Timer = { at: this.now + ms, every, run, unref: () => timer, ref: () => timer }
    this.timers.add(timer)
    return timer
  }
}
