import { expect, test } from 'vitest'
import { PositionLookup } from '../../services/gateway/position-lookup.ts'

/** A stream that answers when it is told to. */
class Stream {
  readonly asked: number[] = []
  private readonly waiting: (() => void)[] = []
  readonly lookup = new PositionLookup((timeMs) => {
    this.asked.push(timeMs)
    return new Promise((resolve, reject) =>
      this.waiting.push(() => (timeMs < 0 ? reject(new Error('away')) : resolve(timeMs * 10))),
    )
  })

  async answerOne(): Promise<void> {
    this.waiting.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('whoever asks for the same time shares one look-up, under way or just done', async () => {
  const stream = new Stream()
  const answers = Array.from({ length: 200 }, () => stream.lookup.at('e', 7))
  await stream.answerOne()
  answers.push(stream.lookup.at('e', 7))
  expect(new Set(await Promise.all(answers))).toEqual(new Set([70]))
  expect(stream.asked).toEqual([7])
})

test('another log is asked anew', async () => {
  const stream = new Stream()
  void stream.lookup.at('e', 7)
  void stream.lookup.at('f', 7)
  expect(stream.asked).toEqual([7, 7])
})

test('four look-ups are under way at most, and all get their answers', async () => {
  const stream = new Stream()
  const answers = Promise.all(Array.from({ length: 9 }, (_, time) => stream.lookup.at('e', time)))
  for (let answered = 0; answered < 9; answered++) {
    expect(stream.asked.length).toBe(Math.min(answered + 4, 9))
    await stream.answerOne()
  }
  expect(await answers).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80])
})

test('a look-up that failed is told to all who share it, and the next one asks again', async () => {
  const stream = new Stream()
  const answers = [stream.lookup.at('e', -1), stream.lookup.at('e', -1)]
  const failed = Promise.all(answers.map((answer) => expect(answer).rejects.toThrow('away')))
  await stream.answerOne()
  await failed
  void stream.lookup.at('e', -1)
  expect(stream.asked).toEqual([-1, -1])
})
