/**
 * A program that makes checkpoints of an image into a folder, one after the other, until somebody kills it. For tests.
 * Arguments: the folder of the store, the folder of the spools, a seed. Says `ready` when it begins.
 */
import { randomBytes } from 'node:crypto'
import { openFolder } from '../../objects/folder.ts'
import { retrying } from '../../objects/retrying-store.ts'
import { DiskSpools } from '../disk-spool.ts'
import { changedImage, publishImage, testImage, testSealer, testVault } from './test-vault.ts'

const [storeFolder = '', spoolFolder = '', seed = '1'] = process.argv.slice(2)
const vault = testVault(retrying(await openFolder(storeFolder)))
const spools = new DiskSpools(spoolFolder, testSealer)
let image = testImage(1, 300)
process.stdout.write('ready\n')
for (let turn = 0; ; turn += 1) {
  image = changedImage(image, Number(seed) * 1000 + turn, 100)
  const spool = await spools.create(randomBytes(16).toString('hex'), 0)
  await publishImage(vault, image, { spool, packBytes: 128 * 1024 })
}
