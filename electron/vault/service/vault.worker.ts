/**
 * The vault's own thread: hashing, compressing, sealing and sending never hold up the host. Answers calls in any order, as
 * they are done; tells events and lines of the log. Relies on the host to end it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { toWdockError } from '../../../shared/errors/index.ts'
import { logOver } from '../../platform/log.ts'
import type { ThreadReply, ThreadRequest, ThreadStart } from './thread-messages.ts'
import { VaultServiceHere } from './vault-service-here.ts'

const port = parentPort
if (port === null) throw new Error('this runs in a thread of its own')
const { azuriteFolder }: ThreadStart = workerData

function tell(reply: ThreadReply): void {
  port?.postMessage(reply)
}

/** Errors and whatever else of fields does not cross as it is becomes text. */
function textOf(fields: unknown): string {
  const plain = (_key: string, value: unknown): unknown => {
    if (typeof value === 'bigint') return value.toString()
    if (value instanceof Error)
      return { ...value, name: value.name, message: value.message, stack: value.stack }
    return value
  }
  try {
    return JSON.stringify(fields, plain)
  } catch {
    return '{}'
  }
}

const service = new VaultServiceHere({
  azuriteFolder,
  onEvent: (event) => tell({ kind: 'event', event }),
  log: logOver(
    (level, message, fields) => tell({ kind: 'log', level, message, fields: textOf(fields) }),
    async () => {},
    {},
  ),
})

async function answer({ callId, method, args }: ThreadRequest & { kind: 'call' }): Promise<void> {
  try {
    const value: unknown = await Reflect.apply(service[method], service, args)
    tell({ kind: 'result', callId, value })
  } catch (error) {
    tell({ kind: 'failure', callId, error: toWdockError(error).toJSON() })
  }
}

port.on('message', (request: ThreadRequest) => {
  if (request.kind === 'call') void answer(request)
  else void service.close().finally(() => tell({ kind: 'ended' }))
})
