const defaultPorts: Readonly<Record<string, number>> = {
  "http:": 80,
  "https:": 443,
  "socks5:": 1080,
  "socks5h:": 1080,
};

/** Where to connect for the URL of a server or of a proxy. The host of an IPv6 address has no brackets. */
export function serverAddress(url: URL): { readonly host: string; readonly port: number } {
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (defaultPorts[url.protocol] ?? 0) : Number(url.port),
  };
}
