import type { MessageHead } from "../../../wire/http1/index.ts";
import type { DownstreamTls } from "../../terms/connection-info.ts";
import { utf8HeadText } from "../../terms/header-text.ts";
import type { HttpConnectionConfig } from "../http-connection-config.ts";

/** What happens to the client's `x-forwarded-client-cert`: it stays, it is removed, or this value replaces it. */
export type ClientCertificateField = "keep" | "drop" | { readonly value: string };

/** Reads from a request's head only what is needed. */
export function clientCertificateField(
  config: HttpConnectionConfig,
  tls: DownstreamTls | undefined,
  head: MessageHead,
): ClientCertificateField {
  const mode = config.clientCertificate;
  if (mode === "always-forward") return "keep";
  if (mode === "sanitize" || tls?.verified !== true) return "drop";
  if (mode === "forward") return "keep";
  const element = elementOf(config, tls);
  const before = mode === "append" ? head.get("x-forwarded-client-cert") : undefined;
  return { value: before === undefined ? element : `${before},${element}` };
}

/** Cached elements of open connections, with the configuration for which they were built. */
const elements = new WeakMap<DownstreamTls, { readonly config: HttpConnectionConfig; readonly element: string }>();

function elementOf(config: HttpConnectionConfig, tls: DownstreamTls): string {
  const known = elements.get(tls);
  if (known?.config === config) return known.element;
  const parts: string[] = [];
  if (tls.localIdentity !== "") parts.push(`By=${tls.localIdentity}`);
  const hash = tls.peerCertificateHash();
  if (hash !== "") parts.push(`Hash=${hash}`);
  for (const field of config.clientCertificateFields) parts.push(...fieldParts(field, tls));
  const element = parts.join(";");
  elements.set(tls, { config, element });
  return element;
}

function fieldParts(
  field: HttpConnectionConfig["clientCertificateFields"][number],
  tls: DownstreamTls,
): readonly string[] {
  switch (field) {
    case "Cert":
    case "Chain": {
      const pem = tls.peerCertificate();
      return pem === "" ? [] : [`${field}="${encodeURIComponent(pem)}"`];
    }
    case "Subject":
      // Quotes inside the value are already escaped (RFC 2253). If the backslash were escaped again, the quote would
      // end the value.
      return [`Subject="${oneLine(tls.peerSubject())}"`];
    case "URI":
      return [`URI=${nameText(tls.peerIdentity)}`];
    case "DNS":
      return tls.peerDnsNames().map((name) => `DNS=${nameText(name)}`);
  }
}

/** Characters that separate an element's values must be quoted inside a value. */
function nameText(name: string): string {
  const text = oneLine(name);
  return /[,;="\\]/.test(text) ? `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"` : text;
}

function oneLine(text: string): string {
  return utf8HeadText(text.replaceAll(/\p{Cc}/gu, (character) => encodeURIComponent(character)));
}
