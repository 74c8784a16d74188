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
