// A Node peer under remote control: one JSON object a line in, one a line out.
// node driver.mjs FOLDER_WITH_NODE_MODULES SCRATCH_FOLDER
//   in   {"id": 1, "call": "append", ...arguments}
//   out  {"id": 1, "result": ...} or {"id": 1, "error": "..."}
import { createHash } from 'crypto'
import { createRequire } from 'module'
import net from 'net'
import path from 'path'
import readline from 'readline'

const require = createRequire(path.join(process.argv[2], 'package.json'))
const versions = { 11: require('hypercore'), 10: require('hypercore10') }
const SecretStream = require('@hyperswarm/secret-stream')
const crypto = require('hypercore-crypto')
const scratch = process.argv[3]

console.log = console.error // hypercore prints when it finds a conflict; stdout is ours

const cores = new Map() // name -> core
const heard = new Map() // name -> extension messages
const extensions = new Map() // name -> extension handles
const notes = [] // what went wrong, in order
const streams = new Set()
let folders = 0

const hex = (buffer) => buffer.toString('hex')
const unhex = (text) => Buffer.from(text, 'hex')

// The same rule as in peers.py: the index, repeated, cut at the size.
function chunk (index, size, salt) {
  const piece = Buffer.alloc(8)
  piece.writeUInt32LE(index, 0)
  piece.writeUInt32LE(salt, 4)
  return Buffer.alloc(size, piece)
}

function sizeOf (index, sizes) {
  return sizes[index % sizes.length]
}

function attach (socket, initiator, names) {
  socket.setNoDelay(true)
  const stream = new SecretStream(initiator, socket)
  streams.add(stream)
  stream.on('error', (error) => notes.push(`stream: ${error.code || error.message}`))
  stream.on('close', () => streams.delete(stream))
  for (const name of names) cores.get(name).replicate(stream)
  return stream
}

async function until (condition, what, milliseconds = 20000) {
  const end = Date.now() + milliseconds
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const calls = {
  async open ({ core: name, version = 11, key = null, seed = null, compat }) {
    const options = {}
    if (seed !== null) options.keyPair = crypto.keyPair(unhex(seed))
    if (compat !== undefined) options.compat = compat
    const folder = path.join(scratch, `core-${folders++}`)
    const core = new versions[version](folder, key === null ? null : unhex(key), options)
    core.on('verification-error', (error) => notes.push(`verification: ${error.code || error.message}`))
    core.on('conflict', (length, fork) => notes.push(`conflict: ${fork}/${length}`))
    await core.ready()
    cores.set(name, core)
    return calls.info({ core: name })
  },

  info ({ core: name }) {
    const core = cores.get(name)
    return {
      key: hex(core.key),
      length: core.length,
      fork: core.fork,
      byteLength: core.byteLength,
      contiguousLength: core.contiguousLength
    }
  },

  async append ({ core: name, start, count, sizes, salt = 0 }) {
    const core = cores.get(name)
    const batch = []
    for (let i = start; i < start + count; i++) {
      batch.push(chunk(i, sizeOf(i, sizes), salt))
      if (batch.length === 256) await core.append(batch.splice(0))
    }
    if (batch.length) await core.append(batch)
    return core.length
  },

  async truncate ({ core: name, length }) {
    await cores.get(name).truncate(length)
    return calls.info({ core: name })
  },

  async clear ({ core: name, start, stop }) {
    await cores.get(name).clear(start, stop)
  },

  async listen ({ cores: names }) {
    const server = net.createServer((socket) => attach(socket, false, names))
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    return server.address().port
  },

  async dial ({ cores: names, port }) {
    const stream = attach(net.connect(port, '127.0.0.1'), true, names)
    await stream.opened
    return { remote: hex(stream.remotePublicKey) }
  },

  async hangUp () {
    for (const stream of streams) stream.destroy()
  },

  // Which chunks are here, each compared with the rule.
  async compare ({ core: name, sizes, salt = 0, from = 0, to = null }) {
    const core = cores.get(name)
    const wrong = []
    let missing = 0
    for (let i = from; i < (to === null ? core.length : to); i++) {
      if (!(await core.has(i))) {
        missing++
        continue
      }
      const value = await core.get(i, { wait: false })
      if (!value.equals(chunk(i, sizeOf(i, sizes), salt))) wrong.push(i)
    }
    return { wrong, missing }
  },

  async waitFor ({ core: name, length, fork = 0 }) {
    const core = cores.get(name)
    await until(() => core.fork === fork && core.length >= length, `length ${length} of fork ${fork}`)
    return calls.info({ core: name })
  },

  async download ({ core: name, start = 0, end = null }) {
    const core = cores.get(name)
    await core.download({ start, end: end === null ? core.length : end }).done()
    return calls.info({ core: name })
  },

  // Everything, now and later: what a reader that stays connected does.
  follow ({ core: name }) {
    cores.get(name).download({ start: 0, end: -1 })
  },

  async get ({ core: name, index, timeout = 15000 }) {
    const value = await cores.get(name).get(index, { timeout })
    return createHash('sha256').update(value).digest('hex')
  },

  // One hash over the hashes of all chunks; has() first, so that nothing is waited for.
  async digest ({ core: name }) {
    const core = cores.get(name)
    const all = createHash('sha256')
    for (let i = 0; i < core.length; i++) {
      all.update(createHash('sha256').update(await core.get(i, { wait: false })).digest())
    }
    return all.digest('hex')
  },

  async held ({ core: name }) {
    const core = cores.get(name)
    const found = []
    for (let i = 0; i < core.length; i++) if (await core.has(i)) found.push(i)
    return found
  },

  extend ({ core: name, extension }) {
    const messages = []
    heard.set(`${name}/${extension}`, messages)
    extensions.set(
      `${name}/${extension}`,
      cores.get(name).registerExtension(extension, {
        encoding: 'binary',
        onmessage: (message) => messages.push(hex(message))
      })
    )
  },

  broadcast ({ core: name, extension, message }) {
    extensions.get(`${name}/${extension}`).broadcast(unhex(message))
  },

  async heard ({ core: name, extension, count = 0 }) {
    const messages = heard.get(`${name}/${extension}`)
    await until(() => messages.length >= count, `${count} messages`)
    return messages
  },

  // From now on the last byte of every chunk that is sent is another one.
  lie ({ core: name }) {
    const twist = (peer) => {
      const send = peer.wireData.send
      peer.wireData.send = (message) => {
        if (message.block && message.block.value) {
          const value = Buffer.from(message.block.value)
          value[value.length - 1] ^= 1
          message = { ...message, block: { ...message.block, value } }
        }
        return send.call(peer.wireData, message)
      }
    }
    const core = cores.get(name)
    core.on('peer-add', twist)
    for (const peer of core.peers) twist(peer)
  },

  async noted ({ pattern }) {
    await until(() => notes.some((note) => new RegExp(pattern).test(note)), `a note of ${pattern}`)
    return notes
  },

  notes: () => notes,

  async peerless ({ core: name }) {
    await until(() => cores.get(name).peers.length === 0, 'the peer to leave')
  },

  async close () {
    for (const stream of streams) stream.destroy()
    for (const core of cores.values()) await core.close().catch(() => {})
  }
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, call, ...options } = JSON.parse(line)
  let answer
  try {
    answer = { id, result: (await calls[call](options)) ?? null }
  } catch (error) {
    answer = { id, error: String(error.stack || error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
  if (call === 'close') process.exit(0)
}).on('close', () => process.exit(0))
