/** One of a certificate's subject alternative names. */
export interface AlternativeName {
  /** OpenSSL's name of the kind: `URI`, `DNS`, `IP Address`, `email`. */
  readonly kind: string;
  readonly value: string;
}

/**
 * Parses the text in which Node returns a certificate's subject alternative names. Node quotes a name with a comma, a
 * quote or a control character like JSON. Splitting at every comma would turn such a name into others.
 */
export function alternativeNames(text: string): readonly AlternativeName[] {
  return [...text.matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)].map(([entry]) => {
    const name = entry.trim();
    const colon = name.indexOf(":");
    return { kind: name.slice(0, Math.max(0, colon)), value: unquoted(name.slice(colon + 1)) };
  });
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}

/** The SHA-256 of a certificate's DER, in lower-case hexadecimal. Node writes it in pairs with colons. */
export function certificateFingerprint({ fingerprint256 }: { readonly fingerprint256: string }): string {
  return fingerprint256.replaceAll(":", "").toLowerCase();
}

/** When a certificate is valid. */
export interface CertificateValidity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const der = { integer: 0x02, utcTime: 0x17, generalizedTime: 0x18, sequence: 0x30, version: 0xa0 } as const;

/**
 * The validity of the first certificate of a PEM text. Undefined if there is none, or if it cannot be read. Needs no
 * module of Node, so that pure parts can use it.
 */
export function certificateValidity(pem: string): CertificateValidity | undefined {
  const [, base64] = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem) ?? [];
  if (base64 === undefined) return undefined;
  let bytes: string;
  try {
    bytes = atob(base64.replaceAll(/\s/g, ""));
  } catch {
    return undefined;
  }
  const body = derElement(bytes, derElement(bytes, 0, der.sequence)?.start, der.sequence);
  let at = body?.start;
  at = derElement(bytes, at, der.version)?.end ?? at;
  // The serial number, the algorithm and the issuer.
  for (const tag of [der.integer, der.sequence, der.sequence]) at = derElement(bytes, at, tag)?.end;
  const validity = derElement(bytes, at, der.sequence);
  const first = derTime(bytes, validity?.start);
  const last = derTime(bytes, first?.end);
  return first === undefined || last === undefined ? undefined : { notBeforeMs: first.ms, notAfterMs: last.ms };
}

/** Where the contents of an element with this tag start and end. */
function derElement(
  bytes: string,
  at: number | undefined,
  ...tags: readonly number[]
): { readonly tag: number; readonly start: number; readonly end: number } | undefined {
  if (at === undefined) return undefined;
  const tag = bytes.charCodeAt(at);
  const length = bytes.charCodeAt(at + 1);
  if (!tags.includes(tag) || Number.isNaN(length)) return undefined;
  const isLong = length >= 0x80;
  const count = isLong ? length - 0x80 : 0;
  const start = at + 2 + count;
  let size = isLong ? 0 : length;
  for (let index = at + 2; index < start; index += 1) size = size * 0x100 + bytes.charCodeAt(index);
  return start + size <= bytes.length ? { tag, start, end: start + size } : undefined;
}

/** A time in UTC with seconds, as certificates have it. Years of two digits are from 1950 to 2049. */
function derTime(bytes: string, at: number | undefined): { readonly ms: number; readonly end: number } | undefined {
  const found = derElement(bytes, at, der.utcTime, der.generalizedTime);
  if (found === undefined) return undefined;
  const text = bytes.slice(found.start, found.end);
  const full = found.tag === der.utcTime ? `${text >= "50" ? "19" : "20"}${text}` : text;
  const [, ...fields] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full) ?? [];
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields.map(Number);
  return fields.length === 0 ? undefined : { ms: Date.UTC(year, month - 1, day, hour, minute, second), end: found.end };
}
