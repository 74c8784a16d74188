/** The methods of HTTP that Istio and Envoy know, without those of extensions. */
export const httpMethods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

/** The headers that say where a message's body ends. */
export const bodyFramingHeaders: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

/**
 * Whether the header is about the connection, or about where a message's body ends. A proxy writes such headers itself.
 */
export function isFramingHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "connection" || bodyFramingHeaders.has(lower);
}

/** Whether the text is a label of RFC 1123, like the names of namespaces and revisions. */
export function isDnsLabel(text: string): boolean {
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text);
}
