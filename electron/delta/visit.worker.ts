/**
 * The thread of one visit: hashing, compressing and keeping never hold up the host, and what goes wrong here ends one
 * move and nothing else. Sends or receives between two sockets, then keeps what the visit brought, if it is told to.
 * Relies on the host to end it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { toWdockError } from '../../shared/errors/index.ts'
import { openKept } from '../pages/kept/kept-pages.ts'
import type { VisitNote } from '../pages/kept/visit-note.ts'
import { KnownFiles } from './known-files.ts'
import { Receiver } from './receiver.ts'
import { Sender } from './sender.ts'
import type { VisitReply, VisitRequest, VisitStart } from './thread-messages.ts'

const statsEveryMs = 100

const port = parentPort
if (port === null) throw new Error('this runs in a thread of its own')
const start: VisitStart = workerData
const kept = openKept(start.kept.folder, Buffer.from(start.kept.dockKey))
/** Layers and boot files, which never change. */
const files = new KnownFiles(start.files)
const end = start.role === 'sender' ? senderFor(start) : receiverFor(start)

function tell(reply: VisitReply): void {
  port?.postMessage(reply)
}

interface End {
  codec: Sender | Receiver
  tellStats(): void
  /** Of the visit that has ended. */
  visit(): Buffer | null
}

function senderFor(of: VisitStart & { role: 'sender' }): End {
  const visit = Buffer.from(of.visit)
  const { relayPath, linkBytesPerS, mayStop } = of
  const newIdKey = Buffer.from(of.newIdKey)
  const codec = new Sender({ relayPath, linkBytesPerS, mayStop, kept, files, visit, newIdKey })
  return {
    codec,
    visit: () => visit,
    tellStats: () =>
      tell({ kind: 'stats', stats: { role: 'sender', isAside: codec.isAside, ...codec.stats } }),
  }
}

function receiverFor({ qemuPath }: VisitStart & { role: 'receiver' }): End {
  const codec = new Receiver({ qemuPath, kept, files })
  return {
    codec,
    visit: () => codec.visit,
    tellStats: () => tell({ kind: 'stats', stats: { role: 'receiver', ...codec.stats } }),
  }
}

function keep(note: VisitNote): void {
  const visit = end.visit()
  try {
    if (visit === null || !end.codec.isWhole) kept.discard()
    else kept.finish(visit, note)
    tell({ kind: 'kept', error: null })
  } catch (error) {
    tell({ kind: 'kept', error: toWdockError(error).toJSON() })
  }
}

port.on('message', (request: VisitRequest) => {
  if (request.kind === 'keep') keep(request.note)
  else if (end.codec instanceof Sender) end.codec.stepAside()
})

const ticking = setInterval(end.tellStats, statsEveryMs)
ticking.unref()

function over(error: unknown): void {
  clearInterval(ticking)
  end.tellStats()
  files.close()
  if (error !== null) kept.discard()
  tell({ kind: 'ended', error: error === null ? null : toWdockError(error).toJSON() })
}

end.codec.ended.then(() => over(null), over)
end.codec.listen(start.listenPath).then(() => tell({ kind: 'listening' }), over)
