import { afterAll, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start()
})
afterAll(() => lab?.stop())

test('streams that began together reach their maximum age one after another', async () => {
  const maxAgeMs = 10_000
  const gateway = await lab.gateway({ MAX_AGE_MS: maxAgeMs })
  const ages = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const begun = performance.now()
      const client = await lab.client(gateway, { topics: ['a'] })
      expect((await client.untilControl('$closing', 1, 30_000)).data).toEqual({ reason: 'max-age' })
      return performance.now() - begun
    }),
  )
  expect(Math.min(...ages)).toBeGreaterThanOrEqual(maxAgeMs * 0.8)
  // Ends fall on whole seconds: without jitter all ages would lie within one.
  expect(Math.max(...ages) - Math.min(...ages)).toBeGreaterThan(1_500)
})
