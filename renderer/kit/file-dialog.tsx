/** Chooses a file or a folder of this PC. The host lists the folders, so it works in every face alike. */
import { Dialog } from '@base-ui/react/dialog'
import { CornerLeftUp, File, Folder } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { FileEntry } from '../../shared/contract.ts'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { formatBytes } from '../../shared/format.ts'
import { toErrorShape } from '../client/errors.ts'
import type { HostClient } from '../client/host-client.ts'
import { useClient } from '../state/app-context.tsx'
import { Button } from './button.tsx'
import { ErrorNotice } from './error-notice.tsx'
import { focusOnPage } from './keep-focus.ts'

export type Wanted = 'file' | 'folder'

interface FileDialogProps {
  title: string
  wanted: Wanted
  onChoose: (path: string) => void
  onClose: () => void
}

type Listing = Awaited<ReturnType<HostClient['files']['list']>>

export function FileDialog({ title, wanted, onChoose, onClose }: FileDialogProps) {
  const { listing, error, open } = useFolder()
  return (
    <Dialog.Root open onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog dialog--files" finalFocus={focusOnPage}>
          <Dialog.Title className="dialog__title">{title}</Dialog.Title>
          <p className="files__path" title={listing?.path}>
            <bdi>{listing?.path ?? 'Opening …'}</bdi>
          </p>
          {error !== null && <ErrorNotice error={error} />}
          <ul className="files" aria-label="Files and folders">
            {listing !== null && (
              <Entries listing={listing} wanted={wanted} onOpen={open} onChoose={onChoose} />
            )}
          </ul>
          <div className="dialog__buttons">
            <Button onClick={onClose}>Cancel</Button>
            {wanted === 'folder' && (
              <Button
                look="primary"
                disabled={listing === null}
                onClick={() => listing !== null && onChoose(listing.path)}
              >
                Choose this folder
              </Button>
            )}
          </div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

/** The folder that is open, starting with the home folder. A folder that cannot be read leaves the old one open. */
function useFolder() {
  const client = useClient()
  const [path, setPath] = useState<string | null>(null)
  const [listing, setListing] = useState<Listing | null>(null)
  const [error, setError] = useState<ErrorShape | null>(null)
  useEffect(() => {
    let current = true
    client.files.list({ path }).then(
      (next) => {
        if (!current) return
        setListing(next)
        setError(null)
      },
      (thrown: unknown) => current && setError(toErrorShape(thrown)),
    )
    return () => {
      current = false
    }
  }, [client, path])
  return { listing, error, open: setPath }
}

interface EntriesProps {
  listing: Listing
  wanted: Wanted
  onOpen: (path: string) => void
  onChoose: (path: string) => void
}

function Entries({ listing, wanted, onOpen, onChoose }: EntriesProps) {
  const { parent, entries } = listing
  const join = (name: string): string => `${listing.path.replace(/\/$/, '')}/${name}`
  return (
    <>
      {parent !== null && (
        <li>
          <button type="button" className="files__entry" onClick={() => onOpen(parent)}>
            <CornerLeftUp className="files__icon" size={16} aria-hidden /> one folder up
          </button>
        </li>
      )}
      {entries.map((entry) => (
        <Entry
          key={entry.name}
          entry={entry}
          disabled={wanted === 'folder' && entry.kind === 'file'}
          onPick={() => (entry.kind === 'folder' ? onOpen(join(entry.name)) : onChoose(join(entry.name)))}
        />
      ))}
      {entries.length === 0 && <li className="files__none">This folder is empty.</li>}
    </>
  )
}

interface EntryProps {
  entry: FileEntry
  /** A file where a folder is wanted: shown, so that one sees what is in the folder. */
  disabled: boolean
  onPick: () => void
}

function Entry({ entry, disabled, onPick }: EntryProps) {
  return (
    <li>
      <button type="button" className="files__entry" disabled={disabled} onClick={onPick}>
        {entry.kind === 'folder' ? (
          <Folder className="files__icon" size={16} aria-hidden />
        ) : (
          <File className="files__icon" size={16} aria-hidden />
        )}
        <span className="files__name">{entry.name}</span>
        {entry.sizeBytes !== null && <span className="files__size">{formatBytes(entry.sizeBytes)}</span>}
      </button>
    </li>
  )
}
