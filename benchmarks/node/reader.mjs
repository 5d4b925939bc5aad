// Readers of npm hypercore, many at a time: one JSON object a line in, one a line out when it is over.
//   node reader.mjs NODE_MODULES
//   in   {id, port, key, habit: "download" | "lookups", lookups: [...], atOnce, thinkMs, lingerMs}
//   out  {id} or {id, error}
import fs from 'fs'
import { createRequire } from 'module'
import net from 'net'
import os from 'os'
import path from 'path'
import readline from 'readline'

const require = createRequire(path.join(process.argv[2], 'package.json'))
const Hypercore = require('hypercore')
const SecretStream = require('@hyperswarm/secret-stream')

const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// The same law as in attestor/disguise.py: memoryless, in eighths of the average.
function think (average) {
  let steps = 1
  while (Math.random() > 1 / 8 && steps < 64) steps++
  return (steps * average) / 8
}

async function read ({ port, key, habit, lookups, atOnce, thinkMs, lingerMs }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-reader-'))
  const core = new Hypercore(folder, Buffer.from(key, 'hex'))
  try {
    await core.ready()
    const socket = net.connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    const stream = new SecretStream(true, socket)
    stream.on('error', () => {})
    core.replicate(stream)
    while (core.length === 0) await rest(1)
    if (habit === 'download') {
      await core.download({ start: 0, end: core.length }).done()
    } else {
      const left = [...lookups]
      await Promise.all(Array.from({ length: atOnce }, async () => {
        while (left.length) {
          await core.get(left.shift())
          await rest(think(thinkMs))
        }
      }))
    }
    await rest(lingerMs)
    stream.destroy()
  } finally {
    await core.close()
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, ...session } = JSON.parse(line)
  let answer = { id }
  try {
    await read(session)
  } catch (error) {
    answer = { id, error: String(error.stack || error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}).on('close', () => process.exit(0))
