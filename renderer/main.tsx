/** The page's start: one connection to the host, one app. */
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { createClient } from './client/create-client.ts'
import { createApp } from './state/app-context.tsx'
import './styles/index.css'

const root = document.getElementById('root')
if (root === null) throw new Error('The page has no element #root.')
createRoot(root).render(<App app={createApp(createClient())} />)
