import { expect, test } from 'vitest'
import type { LogState } from '../../services/common/log-stream.ts'
import { LogStateReader } from '../../services/gateway/log-state.ts'

/** A log whose state is numbered by the moment at which it was read; answers come when told. */
class SlowLog {
  moment = 0
  reads = 0
  private readonly waiting: {
    answer: (state: LogState) => void
    fail: (error: Error) => void
    readAt: number
  }[] = []

  read = (): Promise<LogState> => {
    this.reads++
    return new Promise((answer, fail) => this.waiting.push({ answer, fail, readAt: this.moment }))
  }

  get underWay(): number {
    return this.waiting.length
  }

  async answerNext(): Promise<void> {
    const next = this.waiting.shift()
    next?.answer({ epoch: 'e', firstSequence: 1, lastSequence: next.readAt, behind: [] })
    await new Promise((resolve) => setImmediate(resolve))
  }

  async failNext(): Promise<void> {
    this.waiting.shift()?.fail(new Error('no answer'))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('a storm of questions costs two requests', async () => {
  const log = new SlowLog()
  const reader = new LogStateReader(log.read)
  const first = reader.fresh()
  const storm = Array.from({ length: 1_000 }, () => reader.fresh())
  expect(log.underWay).toBe(1)
  await log.answerNext()
  expect(log.underWay).toBe(1)
  await log.answerNext()
  await Promise.all([first, ...storm])
  expect(log.reads).toBe(2)
})

test('an answer is never older than its question', async () => {
  const log = new SlowLog()
  const reader = new LogStateReader(log.read)
  const answers: Promise<void>[] = []
  for (; log.moment < 50; log.moment++) {
    const asked = log.moment
    const answer = reader
      .fresh()
      .then(({ lastSequence }) => expect(lastSequence).toBeGreaterThanOrEqual(asked))
    answers.push(answer)
    expect(log.underWay).toBe(1)
    if (log.moment % 3 === 0) await log.answerNext()
  }
  while (log.underWay > 0) await log.answerNext()
  await Promise.all(answers)
})

test('a failure reaches those who asked, and the next question is asked anew', async () => {
  const log = new SlowLog()
  const reader = new LogStateReader(log.read)
  const first = reader.fresh().catch((error: Error) => error.message)
  const second = reader.fresh()
  await log.failNext()
  expect(await first).toBe('no answer')
  await log.answerNext()
  expect(await second).toMatchObject({ epoch: 'e' })
  const third = reader.fresh()
  await log.answerNext()
  expect(await third).toMatchObject({ epoch: 'e' })
  expect(log.reads).toBe(3)
})

test('a failure at once, as without a link to NATS, is a rejection and does not stick', async () => {
  let linked = false
  const reader = new LogStateReader(() => {
    if (!linked) throw new Error('NATS has not been reached yet')
    return Promise.resolve({ epoch: 'e', firstSequence: 1, lastSequence: 0, behind: [] })
  })
  await expect((async () => reader.fresh())()).rejects.toThrow(/not been reached/)
  linked = true
  expect(await reader.fresh()).toMatchObject({ epoch: 'e' })
})
