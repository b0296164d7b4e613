import type { DemoEvent, Feed, Random } from './feed.ts'

const messages = [
  { from: 'Operations', text: 'Search is being re-indexed. Results may lag by a minute.' },
  { from: 'Operations', text: 'All regions are healthy.' },
  { from: 'Reception', text: 'Fire drill at three o’clock. Please take the stairs.' },
  { from: 'Reception', text: 'A parcel for the third floor has arrived.' },
  { from: 'Kitchen', text: 'Fresh coffee on the second floor.' },
  { from: 'Release', text: 'Version 4.12 is rolling out: ten percent of users have it.' },
  { from: 'Release', text: 'Version 4.12 has reached everybody.' },
  { from: 'Train desk', text: 'The 17:42 leaves from platform 9 today.' },
] as const

/** Simulated announcements from one sender to everybody. */
export class MessagesFeed implements Feed {
  readonly name = 'messages'
  private turn: number

  constructor(random: Random) {
    this.turn = Math.floor(random() * messages.length)
  }

  next(): DemoEvent {
    const data = messages[this.turn]
    this.turn = (this.turn + 1) % messages.length
    return { topic: 'demo.messages', type: 'message.broadcast', data }
  }
}
