const defaultPorts: Readonly<Record<string, number>> = {
  "http:": 80,
  "https:": 443,
  "socks5:": 1080,
  "socks5h:": 1080,
};

/** The host and port of a server's or proxy's URL. An IPv6 address has no brackets. */
export function serverAddress(url: URL): { readonly host: string; readonly port: number } {
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (defaultPorts[url.protocol] ?? 0) : Number(url.port),
  };
}
