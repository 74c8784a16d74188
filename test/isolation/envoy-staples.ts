// Decides which OCSP staples Envoy 1.40 accepts.
import type { X509Certificate } from "node:crypto";

/** An element of DER. It has children if its tag is constructed. */
interface Element {
  readonly tag: number;
  readonly bytes: Buffer;
  readonly children: readonly Element[];
}

const sequence = 0x30;
const generalizedTime = 0x18;
const constructed = 0x20;

/** Throws if an Envoy rejects the staple for the certificate. */
export function judgeStaple(staple: Buffer, certificate: X509Certificate): void {
  const responses = elementsOf(staple);
  const [status, wrapped] = responses[0]?.children ?? [];
  if (responses.length !== 1 || status?.bytes.toString("hex") !== "00") throw new Error("it is no successful response");
  const [type, basic] = wrapped?.children[0]?.children ?? [];
  if (type?.bytes.toString("hex") !== "2b0601050507300101") throw new Error("it is no basic response");
  const data = elementsOf(basic?.bytes ?? Buffer.alloc(0))[0]?.children[0]?.children ?? [];
  const singles = data.find(({ tag }) => tag === sequence)?.children ?? [];
  const single = singles[0]?.children ?? [];
  if (singles.length !== 1) throw new Error("it is not about one certificate");
  const serial = single[0]?.children[3]?.bytes.toString("hex").toUpperCase() ?? "";
  const { serialNumber } = certificate;
  if (serial !== (/^[89A-F]/.test(serialNumber) ? `00${serialNumber}` : serialNumber))
    throw new Error(`it is about ${serial} and not about ${serialNumber}`);
  const times = [...data, ...single, ...single.flatMap(({ children }) => children)];
  for (const { tag, bytes } of times) if (tag === generalizedTime) judgeTime(bytes.toString("latin1"));
}

function elementsOf(bytes: Buffer): readonly Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0x80;
    const count = first < 0x80 ? 0 : first - 0x80;
    if (first === 0x80 || count > 4) throw new Error("it has an indefinite or long length");
    const length = count === 0 ? first : bytes.readUIntBE(at + 2, count);
    if (count > 0 && length < (count === 1 ? 0x80 : 0x1_00 ** (count - 1))) throw new Error("it has a long length");
    const start = at + 2 + count;
    at = start + length;
    if (at > bytes.length) throw new Error("it ends too early");
    const contents = bytes.subarray(start, at);
    elements.push({ tag, bytes: contents, children: (tag & constructed) === 0 ? [] : elementsOf(contents) });
  }
  return elements;
}

function judgeTime(text: string): void {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)?.slice(1).map(Number) ?? [];
  const [year = 0, month = 0, day = 0, hour = 24, minute = 60, second = 61] = parts;
  const lastDay = new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (month < 1 || month > 12 || day < 1 || day > lastDay || hour > 23 || minute > 59 || second > 60)
    throw new Error(`it has the time ${text}`);
}
