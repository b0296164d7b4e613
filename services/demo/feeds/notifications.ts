import { type DemoEvent, type Feed, pick, type Random } from './feed.ts'

export const users = ['ada', 'alan', 'grace', 'katherine'] as const

const notifications = [
  {
    kind: 'mention',
    title: 'Priya mentioned you',
    body: '“Could you look at the release notes before noon?”',
  },
  { kind: 'mention', title: 'Tom replied to your comment', body: '“Agreed. Let’s keep the smaller one.”' },
  {
    kind: 'review',
    title: 'Review requested',
    body: 'Pull request 214 waits for you: “Drain before closing”.',
  },
  { kind: 'review', title: 'Changes approved', body: 'Pull request 209 may be merged.' },
  { kind: 'payment', title: 'Payment received', body: 'Invoice 2026-118 was paid in full.' },
  { kind: 'payment', title: 'Card expires soon', body: 'The card that ends in 4242 expires next month.' },
  { kind: 'security', title: 'New sign-in', body: 'Somebody signed in from a new device in Lisbon.' },
  { kind: 'calendar', title: 'Starts in ten minutes', body: 'Architecture round, room 3.' },
] as const

/** Simulated push notifications, each for one user on a topic of their own. */
export class NotificationsFeed implements Feed {
  readonly name = 'notifications'
  private readonly random: Random
  private turn: number

  constructor(random: Random) {
    this.random = random
    this.turn = Math.floor(random() * notifications.length)
  }

  next(): DemoEvent {
    const user = pick(users, this.random)
    const data = { user, ...notifications[this.turn] }
    this.turn = (this.turn + 1) % notifications.length
    return { topic: `demo.notifications.${user}`, type: 'notification.created', data }
  }
}
