import { showStatus } from './status.js'
import { EventStream } from './stream.js'
import { byId, count, element, flash } from './ui.js'

const wire = byId('wire')
const mostFrames = 14
const counters = [...document.querySelectorAll('[data-prefix]')].map((node) => ({
  prefix: node.dataset.prefix,
  node,
  received: 0,
}))

const stream = new EventStream({
  topics: ['demo.>'],
  since: '1m',
  onEvent(event) {
    showFrame(event)
    const counter = counters.find(({ prefix }) => event.topic.startsWith(prefix))
    if (!counter) return
    counter.received += 1
    counter.node.textContent = `${count(counter.received)} received`
    if (event.fresh) flash(counter.node)
  },
})
showStatus(stream)

for (const node of document.querySelectorAll('[data-origin]')) node.textContent = location.origin

/** Shows an event as it stood on the wire. */
function showFrame({ id, type, topic, time, data }) {
  const payload = JSON.stringify({ topic, time, data })
  const field = (name, value) => [element('span', { class: 'field' }, `${name}: `), `${value}\n`]
  const lines = [
    ...field('id', id),
    ...(type === 'message' ? [] : field('event', type)),
    ...field('data', payload),
  ]
  wire.append(element('li', {}, ...lines))
  while (wire.children.length > mostFrames) wire.firstElementChild.remove()
  wire.scrollTop = wire.scrollHeight
}
