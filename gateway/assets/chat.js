// A small STOMP client and a page around it: one guest in one room.
//
// It remembers the last seq it showed and resumes after it, so a lost connection costs nothing.
'use strict'

const ROOM = 'lobby'
const HISTORY = '50'
const RETRY_MS_MIN = 500
const RETRY_MS_MAX = 8000

const $ = (id) => document.getElementById(id)
const state = { session: null, socket: null, lastSeq: 0, epoch: null, retryMs: RETRY_MS_MIN, pending: new Map() }

// === frames ===

const ESCAPES = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', ':': '\\c' }
const UNESCAPES = { '\\\\': '\\', '\\n': '\n', '\\r': '\r', '\\c': ':' }
const escape = (text) => text.replace(/[\\\n\r:]/g, (c) => ESCAPES[c])
const unescape = (text) => text.replace(/\\[\\nrc]/g, (c) => UNESCAPES[c])

function encode (command, headers, body = '') {
  const code = command === 'CONNECT' ? (text) => text : escape
  const lines = Object.entries(headers).map(([name, value]) => `${code(name)}:${code(String(value))}`)
  return [command, ...lines, '', body].join('\n') + '\0'
}

function decode (text) {
  const end = text.indexOf('\n\n')
  if (end < 0) return null
  const [command, ...lines] = text.slice(0, end).split('\n')
  const headers = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[unescape(line.slice(0, colon))] ??= unescape(line.slice(colon + 1))
  }
  return { command, headers, body: text.slice(end + 2, text.lastIndexOf('\0')) }
}

// === connection ===

async function signIn (name) {
  const answer = await fetch('/api/v1/auth/guest', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name })
  })
  const session = await answer.json()
  if (!answer.ok) throw new Error(session.detail ?? `sign-in failed (${answer.status})`)
  return session
}

function connect () {
  const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, ['v12.stomp'])
  const send = (command, headers, body) => socket.send(encode(command, headers, body))
  state.socket = socket
  socket.onopen = () => send('CONNECT', {
    'accept-version': '1.2', 'heart-beat': '10000,10000', Authorization: `Bearer ${state.session.access_token}`
  })
  let beat
  socket.onmessage = ({ data }) => {
    const frame = decode(data)
    if (!frame) return
    if (frame.command === 'CONNECTED') {
      const [theirs] = (frame.headers['heart-beat'] ?? '0,0').split(',').map(Number)
      if (theirs) beat = setInterval(() => socket.send('\n'), 8000)
      subscribe(send)
    } else if (frame.command === 'RECEIPT') receipted(frame.headers['receipt-id'])
    else if (frame.command === 'MESSAGE') received(frame)
    else if (frame.command === 'ERROR') say(frame.headers.message ?? 'refused')
  }
  socket.onclose = () => {
    clearInterval(beat)
    say('Connection lost; connecting again …')
    setTimeout(connect, state.retryMs * (0.5 + Math.random() / 2))
    state.retryMs = Math.min(state.retryMs * 2, RETRY_MS_MAX)
  }
}

function subscribe (send) {
  state.retryMs = RETRY_MS_MIN
  send('SUBSCRIBE', { id: 'errors', destination: '/user/queue/errors' })
  const from = state.lastSeq ? { since: state.lastSeq, ...(state.epoch && { epoch: state.epoch }) } : { history: HISTORY }
  send('SUBSCRIBE', { id: ROOM, destination: `/topic/rooms/${ROOM}`, ...from })
  // What was never acknowledged goes out again under its id, and is shown once.
  for (const [id, { text }] of state.pending) post(id, text)
  say(`Signed in as ${state.session.user.name}, in ${ROOM}`)
  $('sign-in').hidden = true
  $('compose').hidden = false
}

function post (id, text) {
  if (state.socket.readyState !== WebSocket.OPEN) return
  state.socket.send(encode('SEND', {
    destination: `/app/rooms/${ROOM}`, 'content-type': 'text/plain', id, receipt: id
  }, text))
}

// === page ===

function say (text) { $('status').textContent = text }

function received (frame) {
  const event = JSON.parse(frame.body)
  if (frame.headers.subscription === 'errors') return refused(event)
  if (event.type === 'reset') {
    state.lastSeq = event.head
    state.epoch = event.epoch
    return say(`Some events are not shown (${event.reason})`)
  }
  state.lastSeq = event.seq
  state.epoch = frame.headers.epoch
  state.pending.get(event.id)?.item.remove()
  state.pending.delete(event.id)
  show(event)
}

function refused ({ code, message, 'receipt-id': id }) {
  say(`${code}: ${message}`)
  state.pending.get(id)?.item.remove()
  state.pending.delete(id)
}

function receipted (id) {
  const pending = state.pending.get(id)
  if (pending) pending.item.querySelector('time').textContent = 'in the log'
}

const WORDS = {
  room: () => 'made or changed the room',
  member: (event) => `${event.change} (${event.user})`,
  reaction: (event) => `${event.emoji} on ${event.target}`,
  edit: (event) => `changed ${event.target} to: ${event.text}`,
  delete: (event) => `took back ${event.target}`,
  unreadable: () => 'an event that can’t be read'
}

function show (event) {
  const spoken = event.type === 'message' || event.type === 'notice'
  const words = spoken ? event.text : (WORDS[event.type] ?? (() => event.type))(event)
  const time = new Date(event.at).toLocaleTimeString()
  add(event.seq, `${event.sender?.name ?? event.sender?.id ?? '?'}: ${words}`, time, spoken ? '' : 'event')
}

function add (seq, words, time, kind) {
  const item = document.createElement('li')
  const parts = [['span', 'seq', seq], ['span', kind, words], ['time', '', time]]
  for (const [tag, className, text] of parts) {
    const part = document.createElement(tag)
    part.className = className
    part.textContent = text
    item.append(part)
  }
  $('messages').append(item)
  item.scrollIntoView({ block: 'end' })
  return item
}

// === start ===

async function start (name) {
  try {
    state.session = await signIn(name)
    connect()
  } catch (error) {
    say(error.message)
  }
}

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault()
  start($('name').value.trim())
})

$('compose').addEventListener('submit', (event) => {
  event.preventDefault()
  const text = $('text').value
  const id = crypto.randomUUID()
  state.pending.set(id, { text, item: add('', `${state.session.user.name}: ${text}`, 'sending', 'pending') })
  post(id, text)
  $('text').value = ''
})

const given = decodeURIComponent(location.hash.slice(1))
if (given) {
  $('name').value = given
  start(given)
}
