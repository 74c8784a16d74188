import { formatAuthority } from "./authority.ts";

/** The value of the header `forwarded` of an HBONE request: the client's address, and the service that it requested. */
export function formatForwarded(address: string, port: number, serviceHostname?: string): string {
  const from = `for="${formatAuthority(address, port)}"`;
  return serviceHostname === undefined || serviceHostname === "" ? from : `${from};host=${serviceHostname}`;
}

/** The `host` of a `forwarded` header, without quotes. Undefined if there is none. */
export function parseForwardedHost(text: string): string | undefined {
  // Shortcut for most requests, which have only the client's address.
  if (text.startsWith("for=") && !text.includes(";")) return undefined;
  for (const part of text.split(";")) {
    const [key = "", ...rest] = part.trim().split("=");
    if (key.toLowerCase() !== "host") continue;
    const host = rest.join("=").replace(/^"(.*)"$/, "$1");
    return host === "" ? undefined : host;
  }
  return undefined;
}
