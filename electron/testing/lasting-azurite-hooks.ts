/**
 * Loaded into Azurite's process before Azurite itself. Promises two things that Azure has and the emulator has not: what
 * was answered survives a SIGKILL in the next instant (it writes its lists every 5 s only), and its clock can be put
 * ahead, by milliseconds in the file that `?clock=` names. For tests only. Relies on Azurite keeping its lists in
 * LokiJS databases.
 */
import { readFileSync } from 'node:fs'
import { type IncomingMessage, Server, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'

interface Loki {
  filename: string
  saveDatabase(done: (error?: unknown) => void): void
}

const [azuriteName, lokiName] = ['azurite/package.json', 'lokijs']
const { prototype } = createRequire(import.meta.resolve(azuriteName ?? ''))(lokiName ?? '') as {
  prototype: Loki & { autosaveEnable(): void }
}
const databases = new Set<Loki>()
// Each is saved once before Azurite listens.
const save = prototype.saveDatabase
prototype.saveDatabase = function (done) {
  databases.add(this)
  save.call(this, done)
}
prototype.autosaveEnable = () => {}

/** Extents first: what is on the list of blobs must be there. */
async function saveAll(): Promise<void> {
  const isExtents = ({ filename }: Loki): number => (filename.includes('extent') ? 0 : 1)
  for (const database of [...databases].sort((a, b) => isExtents(a) - isExtents(b))) {
    await new Promise<void>((resolve, reject) => {
      database.saveDatabase((error) => (error ? reject(error) : resolve()))
    })
  }
}

/** One change after the other: none is half made while the lists are written for another. */
let before: Promise<void> = Promise.resolve()
type Emit = (this: Server, event: string, ...args: unknown[]) => boolean
const emit = Server.prototype.emit as Emit
const emitInTurn: Emit = function (event, ...args) {
  const [request, response] = args as [IncomingMessage, ServerResponse]
  const changes = event === 'request' && !['GET', 'HEAD'].includes(request.method ?? '')
  if (!changes) return emit.call(this, event, ...args)
  before = before.then(async () => {
    if (request.socket.destroyed) return
    const over = new Promise((resolve) => response.once('close', resolve))
    const end = response.end.bind(response) as (...words: unknown[]) => void
    response.end = ((...words: unknown[]) => {
      void saveAll().then(() => end(...words))
      return response
    }) as typeof response.end
    emit.call(this, event, request, response)
    await over
  })
  return true
}
Server.prototype.emit = emitInTurn

const clockFile = new URL(import.meta.url).searchParams.get('clock') ?? ''
let aheadMs = 0
function readClock(): void {
  try {
    aheadMs = Number(readFileSync(clockFile, 'utf8'))
  } catch {
    // Not put ahead yet.
  }
}
readClock()
setInterval(readClock, 50).unref()
const RealDate = Date
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, made) =>
    args.length === 0 ? new target(target.now() + aheadMs) : Reflect.construct(target, args, made),
  get: (target, key) => (key === 'now' ? () => target.now() + aheadMs : Reflect.get(target, key)),
})
