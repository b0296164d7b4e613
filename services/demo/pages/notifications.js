import { showStatus } from './status.js'
import { EventStream } from './stream.js'
import { byId, clock, count, element, flash, prepend } from './ui.js'

const list = byId('inbox')
const toasts = byId('toasts')
const user = byId('user')
const unreadBadge = byId('unread')
const mostKept = 20
const mostToasts = 3
const toastMs = 6_000
const symbols = { mention: '@', review: '✓', payment: '€', security: '!', calendar: '◷' }
const title = document.title
let stream
let unread = 0

user.addEventListener('change', follow)
byId('read').addEventListener('click', () => {
  for (const item of list.children) item.classList.remove('unread')
  showUnread(0)
})
follow()

/** Every user has a topic of their own; with tokens, each may read only that one. */
function follow() {
  stream?.close()
  list.replaceChildren()
  toasts.replaceChildren()
  showUnread(0)
  stream = new EventStream({
    topics: [`demo.notifications.${user.value}`],
    types: ['notification.created'],
    onEvent({ time, data, fresh }) {
      const item = element(
        'li',
        { class: `notification${fresh ? ' unread' : ''}` },
        ...content(data),
        clock(time),
      )
      prepend(list, item, mostKept)
      if (!fresh) return
      flash(item)
      showUnread(unread + 1)
      showToast(data)
    },
  })
  showStatus(stream)
}

function content({ kind, title: heading, body }) {
  return [
    element('span', { class: `symbol ${kind}`, 'aria-hidden': 'true' }, symbols[kind] ?? '•'),
    element('div', {}, element('h3', {}, heading), element('p', { class: 'muted' }, body)),
  ]
}

function showToast(data) {
  const toast = element('li', { class: 'toast' }, ...content(data))
  prepend(toasts, toast, mostToasts)
  setTimeout(() => toast.remove(), toastMs)
}

function showUnread(value) {
  unread = value
  unreadBadge.textContent = `${count(value)} unread`
  unreadBadge.classList.toggle('some', value > 0)
  document.title = value > 0 ? `(${value}) ${title}` : title
}
