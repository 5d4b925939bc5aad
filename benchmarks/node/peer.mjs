// One Node Hypercore peer of a measurement; the other end is another of these, or peer.py.
//   node peer.mjs NODE_MODULES serve SIZE COUNT           prints {port, key}, serves until stdin ends
//   node peer.mjs NODE_MODULES download PORT KEY COUNT    prints {seconds, cpuSeconds}
//   node peer.mjs NODE_MODULES requests PORT KEY COUNT N  prints {medianMs} of N single requests
//   node peer.mjs NODE_MODULES append SIZE COUNT BATCH    prints {seconds}
import fs from 'fs'
import { createRequire } from 'module'
import net from 'net'
import os from 'os'
import path from 'path'

const [modules, mode, ...rest] = process.argv.slice(2)
const require = createRequire(path.join(modules, 'package.json'))
const Hypercore = require('hypercore')
const SecretStream = require('@hyperswarm/secret-stream')

const WARM_UP = 20
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-node-'))
const say = (document) => process.stdout.write(JSON.stringify(document) + '\n')
let opened = null // the core, closed at the end
const now = () => Number(process.hrtime.bigint()) / 1e9

async function open (key) {
  opened = new Hypercore(folder, key)
  await opened.ready()
  return opened
}

function chunk (index, size) {
  const value = Buffer.alloc(size, index & 255)
  value.writeUInt32LE(index, 0)
  return value
}

function stream (initiator, socket, core) {
  socket.setNoDelay(true)
  const encrypted = new SecretStream(initiator, socket)
  encrypted.on('error', () => {})
  core.replicate(encrypted)
  return encrypted
}

async function fill (core, size, count, batch) {
  for (let i = 0; i < count; i += batch) {
    const length = Math.min(batch, count - i)
    await core.append(Array.from({ length }, (_, k) => chunk(i + k, size)))
  }
}

async function serve (size, count) {
  const core = await open()
  await fill(core, size, count, 256)
  const server = net.createServer((socket) => stream(false, socket, core))
  server.listen(0, '127.0.0.1', () => {
    say({ port: server.address().port, key: core.key.toString('hex') })
  })
  await new Promise((resolve) => process.stdin.on('end', resolve).resume())
}

async function connect (port, key) {
  const core = await open(Buffer.from(key, 'hex'))
  const began = now()
  stream(true, net.connect(port, '127.0.0.1'), core)
  while (core.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  return { core, began }
}

async function download (port, key, count) {
  const before = process.cpuUsage()
  const { core, began } = await connect(port, key)
  await core.download({ start: 0, end: count }).done()
  const seconds = now() - began
  const { user, system } = process.cpuUsage(before)
  if (core.contiguousLength !== count) throw new Error('not all is there')
  say({ seconds, cpuSeconds: (user + system) / 1e6 })
}

async function requests (port, key, count, times) {
  const { core } = await connect(port, key)
  const took = []
  for (let i = 0; i < times + WARM_UP; i++) {
    const began = now()
    await core.get((i * 7919) % count)
    took.push((now() - began) * 1e3)
  }
  took.splice(0, WARM_UP)
  took.sort((a, b) => a - b)
  say({ medianMs: took[took.length >> 1] })
}

async function append (size, count, batch) {
  const core = await open()
  const values = Array.from({ length: batch }, (_, i) => chunk(i, size))
  const began = now()
  for (let i = 0; i < count; i += batch) {
    await core.append(values.slice(0, Math.min(batch, count - i)))
  }
  say({ seconds: now() - began })
}

const numbers = rest.map((text) => (/^[0-9]{1,12}$/.test(text) ? Number(text) : text))
try {
  await { serve, download, requests, append }[mode](...numbers)
} finally {
  await opened.close()
  fs.rmSync(folder, { recursive: true, force: true })
}
process.exit(0)
