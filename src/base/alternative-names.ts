/** One of a certificate's subject alternative names. */
export interface AlternativeName {
  /** As OpenSSL prints it: `URI`, `DNS`, `IP Address`, `email`. */
  readonly kind: string;
  readonly value: string;
}

/**
 * A certificate's subject alternative names out of the text that Node makes of them. It quotes a name that holds a comma, a
 * quote or a control character, as JSON does: cut at every comma, such a name would pass for others.
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
