import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { isOwnUser, peerUser } from './peer-user.ts'

const row = (local: string, remote: string, uid: number) =>
  `   4: ${local} ${remote} 01 00000000:00000000 00:00000000 00000000  ${uid}        0 28092 1 0000 20`

it('reads the user of the far end, not of our own', () => {
  const table = [row('0100007F:1F90', '0100007F:C350', 1000), row('0100007F:C350', '0100007F:1F90', 1001)]
  expect(peerUser(table.join('\n'), { localPort: 8080, remotePort: 50_000 })).toBe(1001)
})

it('knows a far end that speaks IPv4 over an IPv6 socket', () => {
  const mapped = '0000000000000000FFFF00000100007F'
  const table = row(`${mapped}:C350`, `${mapped}:1F90`, 33)
  expect(peerUser(table, { localPort: 8080, remotePort: 50_000 })).toBe(33)
})

it('does not guess where there is no such connection', () => {
  expect(peerUser('', { localPort: 8080, remotePort: 50_000 })).toBeNull()
  const other = row('0200007F:C350', '0100007F:1F90', 33)
  expect(peerUser(other, { localPort: 8080, remotePort: 50_000 })).toBeNull()
})

it('knows a connection of this very user', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = await once(server, 'connection')
  expect(await isOwnUser(socket)).toBe(true)
  client.destroy()
  socket.destroy()
  server.close()
})
