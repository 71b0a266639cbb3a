/** What QEMU said about a guest, for whoever looks for a reason. */
import { RefreshCw } from 'lucide-react'
import { useCallback, useEffect, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { toErrorShape } from '../client/errors.ts'
import { Button } from '../kit/button.tsx'
import { CopyButton } from '../kit/copy-button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { useClient } from '../state/app-context.tsx'

type Log = { text: string } | { error: ErrorShape } | null

export function GuestLog({ guest }: { guest: Guest }) {
  const client = useClient()
  const [log, setLog] = useState<Log>(null)
  const load = useCallback(async (): Promise<void> => {
    try {
      setLog(await client.guests.log({ guestId: guest.id }))
    } catch (thrown) {
      setLog({ error: toErrorShape(thrown) })
    }
  }, [client, guest.id])
  useEffect(() => void load(), [load])
  const text = log !== null && 'text' in log ? log.text : ''
  return (
    <>
      <div className="toolbar">
        <Button small icon={<RefreshCw size={14} aria-hidden />} onClick={() => void load()}>
          Read again
        </Button>
        <CopyButton text={text} label="Copy the log" />
      </div>
      {log !== null && 'error' in log ? (
        <ErrorNotice error={log.error} />
      ) : (
        <pre className="log" role="log" aria-label="QEMU log" tabIndex={-1}>
          {log === null ? 'Reading …' : text.trim() === '' ? 'QEMU has said nothing so far.' : text}
        </pre>
      )}
    </>
  )
}
