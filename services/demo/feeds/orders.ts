import { type DemoEvent, type Feed, pick, type Random } from './feed.ts'

/** The life of an order, in this order. */
export const orderTypes = [
  'order.placed',
  'order.paid',
  'order.packed',
  'order.shipped',
  'order.delivered',
] as const

const items = [
  { item: 'Espresso machine', totalCents: 38_900 },
  { item: 'Desk lamp', totalCents: 5_950 },
  { item: 'Trail running shoes', totalCents: 12_990 },
  { item: 'Mechanical keyboard', totalCents: 14_500 },
  { item: 'Cast-iron pan', totalCents: 4_450 },
  { item: 'Noise-cancelling headphones', totalCents: 24_900 },
  { item: 'Weekend backpack', totalCents: 8_995 },
  { item: 'Fountain pen', totalCents: 6_200 },
]
const customers = ['A. Moreau', 'J. Okafor', 'L. Svensson', 'M. Tanaka', 'P. Novak', 'R. Silva']
const carriers = ['DHL', 'DPD', 'UPS', 'GLS']
const openOrders = { least: 3, most: 9 }

interface Order {
  number: number
  item: string
  totalCents: number
  customer: string
  /** Place in orderTypes of what happened last. */
  step: number
}

/** Simulated orders: each call places a new one or takes an open one a step on. */
export class OrdersFeed implements Feed {
  readonly name = 'orders'
  private readonly random: Random
  private readonly open: Order[] = []
  private lastNumber = 0

  constructor(random: Random) {
    this.random = random
  }

  next(nowMs: number): DemoEvent {
    const order = this.wantsNew() ? this.place(nowMs) : this.advance()
    const type = orderTypes[order.step] as string
    const { number, item, totalCents, customer } = order
    const data = { order: number, item, totalCents, currency: 'EUR', customer }
    return {
      topic: `demo.orders.${number}`,
      type,
      data: type === 'order.shipped' ? { ...data, carrier: pick(carriers, this.random) } : data,
    }
  }

  private wantsNew(): boolean {
    const count = this.open.length
    return count < openOrders.least || (count < openOrders.most && this.random() < 0.25)
  }

  private place(nowMs: number): Order {
    // Taken from the clock, so that a restarted demo does not tell a second story of an order it knew before.
    this.lastNumber = Math.max(this.lastNumber + 1, Math.floor(nowMs / 1000) % 1_000_000)
    const order = {
      number: this.lastNumber,
      ...pick(items, this.random),
      customer: pick(customers, this.random),
      step: 0,
    }
    this.open.push(order)
    return order
  }

  private advance(): Order {
    const order = pick(this.open, this.random)
    order.step += 1
    if (order.step === orderTypes.length - 1) this.open.splice(this.open.indexOf(order), 1)
    return order
  }
}
