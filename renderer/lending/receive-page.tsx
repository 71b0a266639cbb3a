/**
 * A link to a checkpoint that somebody lent, pasted or clicked: shows what it is and until when, and restores it.
 * Nothing is fetched but the summary before a person says so. The link is a secret: it does not stay in the address.
 */
import { Download } from 'lucide-react'
import { useCallback, useEffect, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { formatBytes } from '../../shared/format.ts'
import type { ReceivedLink } from '../../shared/models/checkpoint.ts'
import { Photo } from '../checkpoints/checkpoint-picture.tsx'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { Facts, Page } from '../kit/page.tsx'
import { TextArea } from '../kit/text-area.tsx'
import { dateWords } from '../model/dates.ts'
import { sizeWords } from '../model/guest-words.ts'
import { findLink, lentWords } from '../model/lend-draft.ts'
import { useActions } from '../state/app-context.tsx'
import { forgetLinkInAddress, navigate, routeHref } from '../state/route.ts'
import { usePending } from '../state/ui-store.ts'

const back = { href: routeHref({ kind: 'checkpoints', guestId: null }), name: 'Checkpoints' }

type Seen = { link: string; received: ReceivedLink } | { link: string; error: ErrorShape }

export function ReceivePage({ link }: { link: string | null }) {
  const { text, setText, seen, look } = useReceived(link)
  const looking = usePending('look-link')
  const found = findLink(text)
  return (
    <Page title="A link to a guest" back={back}>
      <div className="form">
        <TextArea
          label="Paste the link"
          isCode
          rows={3}
          value={text}
          onChange={setText}
          maxLength={8192}
          placeholder="wdock:lend?…"
          problem={
            text.trim() !== '' && found === null
              ? 'This is not such a link: it begins with wdock:lend'
              : undefined
          }
          hint="Somebody who lends you a guest sends it to you."
        />
        {looking && <p role="status">Looking what it leads to …</p>}
        {seen !== null && 'error' in seen && (
          <ErrorNotice error={seen.error}>
            <Button small disabled={looking} onClick={() => void look(seen.link)}>
              Look again
            </Button>
          </ErrorNotice>
        )}
        {seen !== null && 'received' in seen && (
          <Received key={seen.link} link={seen.link} received={seen.received} />
        )}
      </div>
    </Page>
  )
}

/** What was pasted or clicked, and what it leads to once the host has looked. */
function useReceived(clicked: string | null) {
  const actions = useActions()
  const [text, setText] = useState(clicked ?? '')
  const [seen, setSeen] = useState<Seen | null>(null)
  const found = findLink(text)
  useEffect(() => {
    if (clicked === null) return
    setText(clicked)
    forgetLinkInAddress()
  }, [clicked])
  const look = useCallback(
    async (link: string): Promise<void> => {
      const answer = await actions.lookAtLink(link)
      setSeen('error' in answer ? { link, error: answer.error } : { link, received: answer })
    },
    [actions],
  )
  useEffect(() => {
    setSeen(null)
    if (found !== null) void look(found)
  }, [found, look])
  // An answer that was overtaken by another link is not shown.
  return { text, setText, seen: seen !== null && seen.link === found ? seen : null, look }
}

function Received({ link, received }: { link: string; received: ReceivedLink }) {
  const actions = useActions()
  const pending = usePending('receive')
  const [error, setError] = useState<ErrorShape | null>(null)
  const { checkpoint, pngBase64, endMs } = received
  async function receive(): Promise<void> {
    const failure = await actions.receive(link)
    if (failure === null) navigate({ kind: 'desk' })
    else setError(failure)
  }
  return (
    <section className="checkpoint" aria-label={checkpoint.guestName}>
      <div className="checkpoint__picture">
        <div className="photo">
          <Photo
            src={pngBase64 === null ? null : `data:image/png;base64,${pngBase64}`}
            hasMemory={checkpoint.hasMemory}
          />
        </div>
      </div>
      <div className="checkpoint__body">
        <h2>{checkpoint.guestName}</h2>
        <Facts
          rows={[
            ['From', `${dateWords(checkpoint.atMs)}, on ${checkpoint.byDockName}`],
            ['Lent', lentWords({ startMs: null, endMs }, Date.now())],
            ['To fetch', `up to ${formatBytes(checkpoint.wholeBytes)}`],
            ['Guest', [...sizeWords(checkpoint), `${formatBytes(checkpoint.diskBytes)} disk`].join(', ')],
            [
              'Holds',
              checkpoint.hasMemory ? 'memory and disk: it goes on where it was' : 'its disk: it starts anew',
            ],
          ]}
        />
        <p className="field__hint">
          It becomes a guest of this PC and stays yours when the link ends. Restore only what comes from
          somebody you trust: it runs on this PC.
        </p>
        {error !== null && <ErrorNotice error={error} />}
        <div>
          <Button
            look="primary"
            icon={<Download size={16} aria-hidden />}
            disabled={pending}
            onClick={() => void receive()}
          >
            {pending ? 'Beginning …' : 'Restore on this PC'}
          </Button>
        </div>
      </div>
    </section>
  )
}
