/** What a feed hands to the publisher: an event before the log has given it its place. */
export interface DemoEvent {
  topic: string
  type: string
  data: unknown
}

/** A source of demo events. Chance and time are passed in, so that a feed is the same for the same seed. */
export interface Feed {
  name: string
  /** The next event; undefined when there is nothing to say. `nowMs` is milliseconds since 1970. */
  next(nowMs: number): DemoEvent | undefined | Promise<DemoEvent | undefined>
}

/** A number from 0 up to, not including, 1. */
export type Random = () => number

/** @throws RangeError when `list` is empty. */
export function pick<Item>(list: readonly Item[], random: Random): Item {
  const item = list[Math.floor(random() * list.length)]
  if (item === undefined) throw new RangeError('nothing to pick from')
  return item
}
