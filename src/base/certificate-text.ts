import { DerReader, derTags, type DerElement } from "./der/index.ts";

export interface AlternativeName {
  /** OpenSSL's name for the kind: `URI`, `DNS`, `IP Address`, `email`. */
  readonly kind: string;
  readonly value: string;
}

/**
 * Parses the text in which Node returns a certificate's subject alternative names. Node quotes a name with a comma, a
 * quote or a control character as JSON does, so splitting at every comma would turn such a name into several.
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

/** The SHA-256 of a certificate's DER, in lower-case hexadecimal without Node's colons. */
export function certificateFingerprint({ fingerprint256 }: { readonly fingerprint256: string }): string {
  return fingerprint256.replaceAll(":", "").toLowerCase();
}

/** The certificates of a PEM text, each from its BEGIN line to its END line. Everything else is left out. */
export function certificateBlocks(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

export interface CertificateValidity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The validity of the first certificate of a PEM text. Undefined if there is none, or if it cannot be read. */
export function certificateValidity(pem: string): CertificateValidity | undefined {
  const [, base64] = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem) ?? [];
  if (base64 === undefined) return undefined;
  try {
    const body = new DerReader(Buffer.from(base64, "base64")).inside(derTags.sequence).inside(derTags.sequence);
    body.optional(derTags.context0);
    // Skip the serial number, the algorithm and the issuer.
    for (const tag of [derTags.integer, derTags.sequence, derTags.sequence]) body.next(tag);
    const validity = body.inside(derTags.sequence);
    const [notBeforeMs, notAfterMs] = [timeOf(validity.next()), timeOf(validity.next())];
    return notBeforeMs === undefined || notAfterMs === undefined ? undefined : { notBeforeMs, notAfterMs };
  } catch {
    return undefined;
  }
}

/**
 * The milliseconds of a certificate's time, which is in UTC and has seconds. Years of two digits are from 1950 to 2049.
 * Undefined for another form.
 */
function timeOf({ tag, contents }: DerElement): number | undefined {
  const text = contents.toString("latin1");
  const full = tag === derTags.utcTime ? `${text >= "50" ? "19" : "20"}${text}` : text;
  const [, ...fields] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full) ?? [];
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields.map(Number);
  if (fields.length === 0 || (tag !== derTags.utcTime && tag !== derTags.generalizedTime)) return undefined;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
