/**
 * The SPIFFE IDs that a proxy reported: its client's, and its own towards that client, which is empty if it reported
 * none.
 */
export interface CertificateEnds {
  readonly client: string;
  readonly server: string;
}

/**
 * Parses the last element of an `x-forwarded-client-cert` field, which the nearest proxy wrote. In Envoy's form, commas
 * separate elements, semicolons separate `Key=value` pairs, and values with either character are quoted. Undefined if
 * the element names no client, which means that the proxy has not verified the client.
 */
export function parseClientCertificate(field: string): CertificateEnds | undefined {
  const element = partsOf(field, ",").at(-1) ?? "";
  const values = new Map(
    partsOf(element, ";").map((part) => [part.slice(0, part.indexOf("=")).trim(), part.slice(part.indexOf("=") + 1)]),
  );
  const [client, server] = [values.get("URI") ?? "", values.get("By") ?? ""];
  return client === "" ? undefined : { client, server };
}

function partsOf(text: string, separator: string): string[] {
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === "\\" && quoted) part += text.charAt((at += 1));
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      parts.push(part);
      part = "";
    } else part += character;
  }
  return [...parts, part].filter((found) => found !== "");
}
