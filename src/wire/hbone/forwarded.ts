import { formatAuthority } from "./authority.ts";

/** The `forwarded` header of an HBONE request: the client's address and the requested service. */
export function formatForwarded(address: string, port: number, serviceHostname?: string): string {
  const from = `for="${formatAuthority(address, port)}"`;
  return serviceHostname === undefined || serviceHostname === "" ? from : `${from};host=${serviceHostname}`;
}

/** The `host` of a `forwarded` header, without quotes. */
export function parseForwardedHost(text: string): string | undefined {
  // Most requests have only the client's address.
  if (text.startsWith("for=") && !text.includes(";")) return undefined;
  for (const part of text.split(";")) {
    const [key = "", ...rest] = part.trim().split("=");
    if (key.toLowerCase() !== "host") continue;
    const host = rest.join("=").replace(/^"(.*)"$/, "$1");
    return host === "" ? undefined : host;
  }
  return undefined;
}
