import type { MessageHead } from "../../../wire/http1/index.ts";
import type { DownstreamTls } from "../../terms/connection-info.ts";
import { utf8HeadText } from "../../terms/header-text.ts";
import type { HttpConnectionConfig } from "../http-connection-config.ts";

/** What happens to the client's `x-forwarded-client-cert`: it stays, it is removed, or the given value replaces it. */
export type ClientCertificateField = "keep" | "drop" | { readonly value: string };

/** Decides about the header `x-forwarded-client-cert`. Reads the request's head only if the decision needs it. */
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

/** The elements for the certificates of open connections, with the configuration for which each was built. */
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
      // Quotes inside the subject are already escaped (RFC 2253). Escaping their backslash again would make the quote
      // end the value.
      return [`Subject="${oneLine(tls.peerSubject())}"`];
    case "URI":
      return [`URI=${nameText(tls.peerIdentity)}`];
    case "DNS":
      return tls.peerDnsNames().map((name) => `DNS=${nameText(name)}`);
  }
}

/** Quotes a name if it contains characters that separate the values of an element. */
function nameText(name: string): string {
  const text = oneLine(name);
  return /[,;="\\]/.test(text) ? `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"` : text;
}

function oneLine(text: string): string {
  return utf8HeadText(text.replaceAll(/\p{Cc}/gu, (character) => encodeURIComponent(character)));
}
