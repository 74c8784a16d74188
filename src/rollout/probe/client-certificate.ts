/** Who a proxy says that its client is, and who it was itself towards that client: SPIFFE IDs, empty when it does not say. */
export interface CertificateEnds {
  readonly client: string;
  readonly server: string;
}

/**
 * The last element of an `x-forwarded-client-cert` field, which the nearest proxy wrote (Envoy's form: elements parted by commas,
 * `Key=value` parted by semicolons, values that hold either are quoted). Undefined when there is none: the proxy has verified no client.
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
