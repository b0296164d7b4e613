import type { DemoEvent, Feed, Random } from './feed.ts'

/** One recorded closing price. */
export interface Quote {
  symbol: string
  /** Month of the recording, as in "2004-08". */
  month: string
  price: number
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * Reads `symbol,date,price` lines, dates as in "Jan 1 2000".
 *
 * @throws Error naming the line that can't be read.
 */
export function parseQuotes(csv: string): Quote[] {
  const lines = csv.trim().split(/\r?\n/).slice(1)
  return lines.map((line) => {
    const [symbol, date, price] = line.split(',')
    const [month, , year] = (date ?? '').split(' ')
    const monthNumber = months.indexOf(month ?? '') + 1
    if (!symbol || !year || monthNumber === 0 || !Number.isFinite(Number(price))) {
      throw new Error(`not a quote: "${line}"`)
    }
    return { symbol, month: `${year}-${String(monthNumber).padStart(2, '0')}`, price: Number(price) }
  })
}

/** Replays recorded prices as ticks, one symbol after the other, each from a random month on, for ever. */
export class QuotesFeed implements Feed {
  readonly name = 'quotes'
  private readonly series: Quote[][]
  private readonly places: number[]
  private turn = 0

  constructor(quotes: readonly Quote[], random: Random) {
    this.series = [...Map.groupBy(quotes, (quote) => quote.symbol).values()]
    if (this.series.length === 0) throw new RangeError('no quotes to replay')
    // The first month has no change to show, so nobody starts there.
    this.places = this.series.map((series) => 1 + Math.floor(random() * (series.length - 1)))
  }

  next(): DemoEvent {
    const series = this.series[this.turn] as Quote[]
    const place = this.places[this.turn] as number
    this.places[this.turn] = (place + 1) % series.length
    this.turn = (this.turn + 1) % this.series.length
    const { symbol, month, price } = series[place] as Quote
    const change = place === 0 ? 0 : price - (series[place - 1] as Quote).price
    const data = {
      symbol,
      price,
      change: round(change),
      changePercent: round((100 * change) / (price - change)),
      month,
    }
    return { topic: `demo.quotes.${symbol}`, type: 'quote.tick', data }
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
