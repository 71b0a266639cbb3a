/**
 * A self-signed X.509 certificate in DER, as RFC 5280 lays it out, and nothing more of X.509 than that.
 * Docks trust the hash of a certificate, never its fields, so the fields are constant: a general X.509
 * library would be much code for one fixed form. Relies on node:crypto for the key and the signature.
 */
import { type KeyObject, sign } from 'node:crypto'

const tag = { integer: 0x02, bitString: 0x03, oid: 0x06, utf8: 0x0c, generalizedTime: 0x18 } as const
const sequenceTag = 0x30
const setTag = 0x31
const versionTag = 0xa0

const ecdsaWithSha256 = Buffer.from('2a8648ce3d040302', 'hex')
const commonNameOid = Buffer.from('550403', 'hex')

/** One DER value: tag, definite length, content. */
function der(tagByte: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tagByte, content.length]), content])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  const short = length.subarray(length.findIndex((byte) => byte !== 0))
  return Buffer.concat([Buffer.from([tagByte, 0x80 | short.length]), short, content])
}

/** Names are constant on purpose: nothing of the PC or the person is in the certificate. */
function distinguishedName(commonName: string): Buffer {
  const value = der(tag.utf8, Buffer.from(commonName, 'utf8'))
  return der(sequenceTag, der(setTag, der(sequenceTag, der(tag.oid, commonNameOid), value)))
}

/** A positive number that DER needs no padding for. */
function serialNumber(random: Uint8Array): Buffer {
  const serial = Buffer.from(random.subarray(0, 16))
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/**
 * Makes a certificate for `key`, signed by itself, valid from 2020 to 9999 ("no well-defined expiration",
 * RFC 5280 section 4.1.2.5), so that a PC with a wrong clock still pairs.
 * @param random at least 16 bytes for the serial number
 */
export function selfSignedCertificate(
  key: { publicKey: KeyObject; privateKey: KeyObject },
  random: Uint8Array,
): { pem: string; der: Buffer } {
  const algorithm = der(sequenceTag, der(tag.oid, ecdsaWithSha256))
  const name = distinguishedName('Wireless Dock+')
  const validity = der(
    sequenceTag,
    der(tag.generalizedTime, Buffer.from('20200101000000Z')),
    der(tag.generalizedTime, Buffer.from('99991231235959Z')),
  )
  const body = der(
    sequenceTag,
    der(versionTag, der(tag.integer, Buffer.from([2]))),
    der(tag.integer, serialNumber(random)),
    algorithm,
    name,
    validity,
    name,
    key.publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = sign('sha256', body, { key: key.privateKey, dsaEncoding: 'der' })
  const certificate = der(sequenceTag, body, algorithm, der(tag.bitString, Buffer.from([0]), signature))
  return { pem: pem(certificate), der: certificate }
}
