import { showStatus } from './status.js'
import { EventStream } from './stream.js'
import { byId, clock, count, element, flash, money, prepend } from './ui.js'

const steps = ['placed', 'paid', 'packed', 'shipped', 'delivered']
const list = byId('orders')
const mostOrders = 12
const rows = new Map()
const totals = steps.map((step) => ({ node: byId(`total-${step}`), value: 0 }))

showStatus(
  new EventStream({
    topics: ['demo.orders.*'],
    types: steps.map((step) => `order.${step}`),
    onEvent({ type, topic, time, data, fresh }) {
      const step = steps.indexOf(type.slice('order.'.length))
      if (step < 0) return
      totals[step].value += 1
      totals[step].node.textContent = count(totals[step].value)
      const row = rows.get(topic) ?? addRow(topic, data)
      row.update(step, time, data)
      if (fresh) flash(row.node)
    },
  }),
)

function addRow(topic, { order, item, customer, totalCents, currency }) {
  const stepNodes = steps.map((step) => element('li', {}, element('span', {}, step)))
  const note = element('p', { class: 'muted note' })
  const node = element(
    'li',
    { class: 'order' },
    element(
      'div',
      { class: 'order-head' },
      element('h3', {}, item),
      element(
        'p',
        { class: 'muted' },
        element('code', {}, `#${order}`),
        ` · ${customer} · ${money(totalCents, currency)}`,
      ),
    ),
    element('ol', { class: 'steps', 'aria-label': `Progress of order ${order}` }, ...stepNodes),
    note,
  )
  const row = {
    node,
    update(step, time, { carrier }) {
      stepNodes.forEach((stepNode, index) => {
        stepNode.classList.toggle('done', index <= step)
        if (index === step) stepNode.setAttribute('aria-current', 'step')
        else stepNode.removeAttribute('aria-current')
      })
      node.classList.toggle('delivered', step === steps.length - 1)
      note.replaceChildren(carrier ? `${carrier} · ` : '', clock(time))
    },
  }
  rows.set(topic, row)
  prepend(list, node, mostOrders)
  for (const [known, { node: shown }] of rows) if (!shown.isConnected) rows.delete(known)
  return row
}
