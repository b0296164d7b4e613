import { Sparkline } from './sparkline.js'
import { showStatus } from './status.js'
import { EventStream } from './stream.js'
import { byId, count, element, flash } from './ui.js'
import { isBeyond, most, percentile, showAnswers, sum } from './vitals.js'

const tiles = Object.fromEntries(
  ['connections', 'stored', 'delivered', 'log', 'latency', 'round-trip', 'lag', 'gaps'].map((name) => [
    name,
    makeTile(byId(`tile-${name}`)),
  ]),
)
const pods = new Map()
const quotes = new Map()

showStatus(
  new EventStream({
    topics: ['demo.cluster', 'demo.quotes.*'],
    types: ['cluster.sampled', 'quote.tick'],
    onEvent({ type, data, fresh, time }) {
      if (type === 'cluster.sampled') showCluster(data, time)
      else showQuote(data, fresh)
    },
  }),
)

function showCluster({ gateways, publishers = [], probers = [] }, time) {
  showAnswers({ gateways, publishers, probers }, time.getTime())
  tiles.connections(sum(gateways, 'connections'))
  tiles.stored(sum(publishers, 'storedPerSecond'))
  tiles.delivered(sum(gateways, 'deliveredPerSecond'))
  // Each publisher reads the same log.
  tiles.log(most(publishers, 'logEvents'))
  tiles.latency(most(gateways, 'latencyP99Ms'), (ms) => percentile(ms, isBeyond(gateways, 'latencyP99')))
  tiles['round-trip'](most(probers, 'roundTripP99Ms'), (ms) =>
    percentile(ms, isBeyond(probers, 'roundTripP99')),
  )
  tiles.lag(most(gateways, 'tailLagEvents'))
  tiles.gaps(sum(gateways, 'gaps'))
  const names = new Set(gateways.map((gateway) => gateway.name))
  for (const [name, pod] of pods) {
    if (names.has(name)) continue
    pod.node.remove()
    pods.delete(name)
  }
  for (const gateway of gateways) podOf(gateway.name)(gateway)
}

function makeTile(node) {
  const sparkline = new Sparkline()
  const number = node.querySelector('.number')
  node.append(sparkline.node)
  return (value, format = count) => {
    number.textContent = value === null ? '–' : format(value)
    sparkline.add(value ?? 0)
  }
}

function podOf(name) {
  const known = pods.get(name)
  if (known) return known.show
  byId('no-pods')?.remove()
  const state = element('span', { class: 'state' })
  const connections = measure('Connections')
  const delivered = measure('Deliveries/s')
  const lag = measure('Tail lag')
  const latency = measure('p99')
  const node = element(
    'li',
    { class: 'pod card' },
    element('div', { class: 'pod-head' }, element('h3', {}, element('code', {}, name)), state),
    connections.node,
    delivered.node,
    lag.node,
    latency.node,
  )
  const show = (gateway) => {
    state.textContent = gateway.up ? 'Up' : 'Away'
    state.dataset.state = gateway.up ? 'live' : 'refused'
    node.classList.toggle('away', !gateway.up)
    connections.show(gateway.connections)
    delivered.show(gateway.deliveredPerSecond)
    lag.show(gateway.tailLagEvents)
    latency.show(gateway.latencyP99Ms, (ms) => percentile(ms, gateway.latencyP99Beyond))
  }
  pods.set(name, { node, show })
  byId('pods').append(node)
  return show
}

function measure(label) {
  const sparkline = new Sparkline()
  const number = element('b', {}, '–')
  const node = element(
    'div',
    { class: 'measure' },
    element('span', { class: 'label' }, label),
    number,
    sparkline.node,
  )
  return {
    node,
    show(value, format = count) {
      number.textContent = value == null ? '–' : format(value)
      sparkline.add(value ?? 0)
    },
  }
}

function showQuote({ symbol, price, change, changePercent, month }, fresh) {
  const quote = quotes.get(symbol) ?? addQuote(symbol)
  const direction = change < 0 ? 'down' : 'up'
  quote.price.textContent = price.toFixed(2)
  quote.change.textContent = `${change < 0 ? '▼' : '▲'} ${Math.abs(changePercent).toFixed(1)} %`
  quote.month.textContent = month
  quote.node.dataset.direction = direction
  quote.sparkline.add(price)
  if (fresh) flash(quote.node)
}

function addQuote(symbol) {
  byId('no-quotes')?.remove()
  const sparkline = new Sparkline({ most: 40, fromZero: false })
  const price = element('b', { class: 'number' })
  const change = element('span', { class: 'change' })
  const month = element('span', { class: 'muted' })
  const node = element(
    'li',
    { class: 'quote card' },
    element('div', { class: 'quote-head' }, element('h3', {}, symbol), month),
    price,
    change,
    sparkline.node,
  )
  const quote = { node, price, change, month, sparkline }
  quotes.set(symbol, quote)
  const after = [...quotes.keys()].sort().find((other) => other > symbol)
  byId('quotes').insertBefore(node, after ? quotes.get(after).node : null)
  return quote
}
