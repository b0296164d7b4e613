import { showStatus } from './status.js'
import { EventStream } from './stream.js'
import { byId, clock, element, flash, prepend } from './ui.js'

const board = byId('board')
const earlier = byId('earlier')
const mostKept = 20
let latest

showStatus(
  new EventStream({
    topics: ['demo.messages'],
    types: ['message.broadcast'],
    onEvent({ time, data, fresh }) {
      // Anybody may send on this page's topic, in any shape.
      const message = {
        time,
        from: textOf(data?.from) || 'Somebody',
        text: textOf(data?.text) || JSON.stringify(data),
      }
      if (latest) prepend(earlier, entry(latest), mostKept)
      latest = message
      board.replaceChildren(
        element('p', { class: 'board-text' }, message.text),
        element('p', { class: 'board-from' }, `${message.from} · `, clock(time)),
      )
      if (fresh) flash(board)
    },
  }),
)

function entry({ time, from, text }) {
  return element('li', { class: 'message' }, clock(time), element('b', {}, from), element('span', {}, text))
}

function textOf(value) {
  return typeof value === 'string' ? value.trim() : ''
}
