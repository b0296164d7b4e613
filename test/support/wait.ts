import { setTimeout as sleep } from 'node:timers/promises'

export interface WaitOptions {
  /** What is awaited, for the message when it does not come. */
  what: string
  /** 15 s unless told. */
  timeoutMs?: number
  /** 25 ms unless told. */
  intervalMs?: number
}

/**
 * Polls `probe` until it returns something truthy, and returns that. An error that `probe` throws counts as
 * "not yet".
 *
 * @throws when it has not come after `timeoutMs`, with the last error.
 */
export async function waitUntil<T>(
  probe: () => T | Promise<T>,
  { what, timeoutMs = 15_000, intervalMs = 25 }: WaitOptions,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  let failure: unknown
  for (;;) {
    try {
      const result = await probe()
      if (result) return result
      failure = undefined
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`, failure ? { cause: failure } : {})
    }
    await sleep(intervalMs)
  }
}
