const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/** Where to connect for an `http:` or `https:` URL. The host of an IPv6 address has no brackets. */
export function serverAddress(url: URL): { readonly host: string; readonly port: number } {
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (defaultPorts[url.protocol] ?? 0) : Number(url.port),
  };
}
