// @stomp/stompjs, unchanged, against a running gateway: signs in, is receipted, chats in order, replays, acknowledges,
// changes messages, shows who types and looks, lists rooms, beats, is refused, and sends long frames in pieces.
//
//   stompjs.cjs HTTP ALICE_TOKEN BOB_TOKEN EXPIRED_TOKEN ROOM
//
// Ends with exit code 0 when everything was as it should be, and otherwise says what was not.
'use strict'

const assert = require('node:assert/strict')
const { Client } = require('@stomp/stompjs')
Object.assign(global, { WebSocket: require('ws') })

const [http, alice, bob, expired, room] = process.argv.slice(2)
const POSTS = 20
const DEADLINE_MS = 30_000
const topic = `/topic/rooms/${room}`

// A promise, and a failure that says what was waited for.
function within(what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited for ${what}`)), DEADLINE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function connect(token, options = {}) {
  const client = new Client({
    brokerURL: `${http.replace('http', 'ws')}/ws`,
    connectHeaders: { Authorization: `Bearer ${token}` },
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    reconnectDelay: 0,
    ...options,
  })
  await within('CONNECTED', new Promise((resolve, reject) => {
    client.onConnect = resolve
    client.onStompError = (frame) => reject(Object.assign(new Error(frame.headers.message), { frame }))
    client.activate()
  }))
  return client
}

function receipt(client, id) {
  return within(`RECEIPT ${id}`, new Promise((resolve) => client.watchForReceipt(id, resolve)))
}

// Subscribes, and answers with the RECEIPT's headers and a function that waits for so many messages.
async function subscribe(client, headers) {
  const seen = []
  let arrived = () => {}
  client.subscribe(topic, (message) => { seen.push(message); arrived() }, { ...headers, receipt: headers.id })
  const { headers: place } = await receipt(client, headers.id)
  const messages = (count) => within(`${count} messages`, new Promise((resolve) => {
    arrived = () => seen.length >= count && resolve(seen)
    arrived()
  }))
  return { place, messages }
}

async function postsArriveInOrder() {
  const [reader, writer] = [await connect(bob), await connect(alice)]
  const { place, messages } = await subscribe(reader, { id: 'live' })
  const head = Number(place.head)
  const receipts = []
  for (let number = 0; number < POSTS; number++) {
    receipts.push(receipt(writer, `r${number}`))
    writer.publish({ destination: `/app/rooms/${room}`, body: `post ${number}`, headers: { receipt: `r${number}` } })
  }
  await Promise.all(receipts)
  const seen = await messages(POSTS)
  seen.forEach((message, number) => {
    assert.equal(Number(message.headers.seq), head + 1 + number)
    assert.equal(JSON.parse(message.body).text, `post ${number}`)
  })
  await Promise.all([reader.deactivate(), writer.deactivate()])
  return head
}

async function historyIsReplayed(head) {
  const client = await connect(bob)
  const { messages } = await subscribe(client, { id: 'again', since: String(head), ack: 'client' })
  const seen = await messages(POSTS)
  seen.forEach((message, number) => {
    assert.equal(message.headers.replay, 'true')
    assert.equal(Number(message.headers.seq), head + 1 + number)
  })
  const acked = receipt(client, 'acked')
  seen.at(-1).ack({ receipt: 'acked' })
  await acked
  await client.deactivate()
}

async function transactionsCommit(head) {
  const client = await connect(alice)
  const { messages } = await subscribe(client, { id: 'tx', since: String(head + POSTS) })
  const committed = client.begin()
  client.publish({ destination: `/app/rooms/${room}`, body: 'committed', headers: { transaction: committed.id } })
  const aborted = client.begin()
  client.publish({ destination: `/app/rooms/${room}`, body: 'aborted', headers: { transaction: aborted.id } })
  aborted.abort()
  committed.commit()
  assert.equal(JSON.parse((await messages(1))[0].body).text, 'committed')
  await client.deactivate()
}

async function historyAndEveryAckMode() {
  const client = await connect(bob)
  for (const ack of ['auto', 'client', 'client-individual']) {
    const { messages } = await subscribe(client, { id: ack, history: '3', ack })
    const seen = await messages(3)
    const texts = seen.map((message) => JSON.parse(message.body).text)
    assert.deepEqual(texts, [`post ${POSTS - 2}`, `post ${POSTS - 1}`, 'committed'])
    for (const message of seen) {
      assert.equal('ack' in message.headers, ack !== 'auto')
      if (ack === 'auto') continue
      for (const answer of ['nack', 'ack']) {
        const answered = receipt(client, answer)
        message[answer]({ receipt: answer })
        await answered
      }
    }
    client.unsubscribe(ack)
  }
  await client.deactivate()
}

async function messagesAreChanged() {
  const [reader, writer] = [await connect(bob), await connect(alice)]
  const { messages } = await subscribe(reader, { id: 'changed' })
  writer.publish({ destination: `/app/rooms/${room}`, body: 'frist' })
  const target = Number((await messages(1))[0].headers.seq)
  const changes = [
    ['edit', { target, text: 'first' }, 'edit'],
    ['react', { target, emoji: '👍', on: true }, 'reaction'],
    ['delete', { target }, 'delete'],
  ]
  for (const [index, [verb, change, shown]] of changes.entries()) {
    const done = receipt(writer, verb)
    const headers = { receipt: verb, 'content-type': 'application/json' }
    writer.publish({ destination: `/app/rooms/${room}/${verb}`, body: JSON.stringify(change), headers })
    await done
    const message = (await messages(index + 2))[index + 1]
    assert.equal(message.headers.type, shown)
    const body = JSON.parse(message.body)
    Object.entries(change).forEach(([field, value]) => assert.deepEqual(body[field], value))
  }
  await Promise.all([reader.deactivate(), writer.deactivate()])
}

// Subscribes, and answers with a function that waits for the next body that fits.
function follow(client, destination) {
  const seen = []
  let arrived = () => {}
  client.subscribe(destination, (message) => { seen.push(JSON.parse(message.body)); arrived() })
  return (what, fits) => within(what, new Promise((resolve) => {
    arrived = () => {
      while (seen.length) {
        const body = seen.shift()
        if (fits(body)) return resolve(body)
      }
    }
    arrived()
  }))
}

async function signalsAndRoomsAreLive() {
  const [listener, other] = [await connect(alice), await connect(bob)]
  const name = JSON.parse(Buffer.from(bob.split('.')[1], 'base64url')).sub
  const signal = follow(listener, `${topic}/signals`)
  await signal('a snapshot', (body) => body.type === 'snapshot')
  const verbs = [
    ['typing', (body) => body.type === 'typing' && body.user === name && body.on],
    ['focus', (body) => body.type === 'viewers' && body.users.includes(name)],
    ['unfocus', (body) => body.type === 'viewers' && !body.users.includes(name)],
  ]
  for (const [verb, fits] of verbs) {
    other.publish({ destination: `/app/rooms/${room}/${verb}` })
    await signal(verb, fits)
  }
  const change = follow(other, '/user/queue/rooms')
  const { rooms } = await change('the list of rooms', (body) => body.type === 'snapshot')
  assert.ok(rooms.some((shown) => shown.room === room))
  listener.publish({ destination: `/app/rooms/${room}`, body: 'news' })
  await change('news', (body) => body.room === room && body.last?.text === 'news')
  await Promise.all([listener.deactivate(), other.deactivate()])
}

async function longFramesInPieces() {
  const client = await connect(alice, { splitLargeFrames: true, maxWebSocketChunkSize: 1000 })
  const sent = receipt(client, 'long')
  client.publish({ destination: `/app/rooms/${room}`, body: 'x'.repeat(16_000), headers: { receipt: 'long' } })
  await sent
  await client.deactivate()
}

async function bothSidesBeat() {
  const client = await connect(alice, { heartbeatIncoming: 1000, heartbeatOutgoing: 1000 })
  let closed = false
  client.onWebSocketClose = () => { closed = true }
  // Three intervals of silence: the client itself closes a connection that does not beat.
  await new Promise((resolve) => setTimeout(resolve, 4000))
  assert.ok(client.connected && !closed, 'the connection lives by heart-beats alone')
  await client.deactivate()
}

async function refusalsAreErrors() {
  await assert.rejects(connect(expired), (error) => error.frame?.headers.code === 'token-expired')
  const client = await connect(alice)
  const refused = new Promise((resolve) => { client.onStompError = resolve })
  client.publish({ destination: '/app/rooms/no-such-room', body: 'x' })
  assert.equal((await within('ERROR', refused)).headers.code, 'not-found')
  await client.deactivate()
}

async function main() {
  const head = await postsArriveInOrder()
  console.log('ok: posts arrive in order, each with its receipt')
  await historyIsReplayed(head)
  console.log('ok: since replays what was missed')
  await transactionsCommit(head)
  console.log('ok: transactions commit and abort')
  await historyAndEveryAckMode()
  console.log('ok: history, and every way to acknowledge')
  await messagesAreChanged()
  console.log('ok: messages are edited, reacted to and deleted')
  await signalsAndRoomsAreLive()
  console.log('ok: typing, looking and the list of rooms are live')
  await longFramesInPieces()
  console.log('ok: long frames arrive in pieces')
  await bothSidesBeat()
  console.log('ok: heart-beats both ways')
  await refusalsAreErrors()
  console.log('ok: refusals are ERROR frames with a code')
}

main().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
