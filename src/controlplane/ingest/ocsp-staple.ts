import type { X509Certificate } from "node:crypto";
import { messageOf } from "../../base/index.ts";
import { DerReader, derTags } from "../../x509/index.ts";

const enumerated = 0x0a;
/** Tags of choices and optional fields in RFC 6960. */
const byName = 0xa1;
const byKey = 0xa2;
const extensions = 0xa1;
const good = 0x80;
const revoked = 0xa1;
const unknown = 0x82;
/** The object identifier `id-pkix-ocsp-basic`. */
const basicResponse = "2b0601050507300101";
/** The bit of an integer's first byte that makes it negative. */
const sign = 0x80;
const time = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/**
 * Why an Envoy rejects a staple for a certificate. It accepts only a successful basic response about this certificate
 * alone. Undefined if it accepts the staple.
 */
export function stapleFault(staple: Buffer, certificate: X509Certificate): string | undefined {
  try {
    const serial = serialOf(staple);
    return serial === BigInt(`0x${certificate.serialNumber}`) ? undefined : "it is about another certificate";
  } catch (error) {
    return messageOf(error);
  }
}

/** The serial number of the certificate that a response is about. Throws if the staple is not such a response. */
function serialOf(staple: Buffer): bigint {
  const file = new DerReader(staple);
  const response = file.inside(derTags.sequence);
  file.finish();
  const status = response.next(enumerated).contents;
  if (status.length !== 1 || status[0] !== 0) throw new Error("it has the status of a failed request");
  const outer = response.inside(derTags.context0);
  response.finish();
  const bytes = outer.inside(derTags.sequence);
  outer.finish();
  if (bytes.next(derTags.objectIdentifier).contents.toString("hex") !== basicResponse)
    throw new Error("it is no basic response");
  const text = bytes.inside(derTags.octetString);
  const basic = text.inside(derTags.sequence);
  text.finish();
  const data = basic.inside(derTags.sequence);
  basic.next(derTags.sequence);
  basic.next(derTags.bitString);
  data.optional(derTags.context0);
  if (data.optional(byName) === undefined) data.next(byKey);
  readTime(data);
  const list = data.inside(derTags.sequence);
  const single = list.inside(derTags.sequence);
  if (!list.isAtEnd) throw new Error("it is about several certificates");
  return readSingle(single);
}

function readSingle(single: DerReader): bigint {
  const identity = single.inside(derTags.sequence);
  identity.next(derTags.sequence);
  identity.next(derTags.octetString);
  identity.next(derTags.octetString);
  const serial = identity.next(derTags.integer).contents;
  identity.finish();
  if (![good, revoked, unknown].includes(single.next().tag)) throw new Error("it has no status of the certificate");
  readTime(single);
  const next = single.optional(derTags.context0);
  if (next !== undefined) readTime(new DerReader(next.contents));
  single.optional(extensions);
  single.finish();
  return positiveInteger(serial);
}

/**
 * Reads a positive integer in its shortest encoding, the only one that Envoys read. So a certificate with a negative
 * serial number gets no staple.
 */
function positiveInteger(bytes: Buffer): bigint {
  const [first = sign, second = sign] = bytes;
  if (first >= sign || (first === 0 && bytes.length > 1 && second < sign))
    throw new Error("it has a serial number in an encoding that Envoys reject");
  return BigInt(`0x${bytes.toString("hex")}`);
}

/** The day must exist. */
function readTime(reader: DerReader): void {
  const text = reader.next(derTags.generalizedTime).contents.toString("latin1");
  const iso = text.replace(time, "$1-$2-$3T$4:$5:$6.000Z");
  const date = new Date(iso);
  if (!time.test(text) || Number.isNaN(date.getTime()) || date.toISOString() !== iso)
    throw new Error(`it has the time ${JSON.stringify(text)}`);
}
