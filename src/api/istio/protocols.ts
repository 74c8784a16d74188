export const protocols = [
  "HTTP",
  "HTTPS",
  "HTTP2",
  "GRPC",
  "GRPC-WEB",
  "TCP",
  "TLS",
  "UDP",
  "MONGO",
  "REDIS",
  "MYSQL",
  "HTTP_PROXY",
] as const;

export function isKnownProtocol(protocol: string): boolean {
  return protocols.includes(protocol as "HTTP");
}

export function isHttpProtocol(protocol: string | undefined): boolean {
  return ["HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB"].includes(protocol ?? "");
}

export function isTlsProtocol(protocol: string | undefined): boolean {
  return protocol === "HTTPS" || protocol === "TLS";
}

/**
 * Whether proxies pass the protocol's bytes on without reading messages. They do so for all protocols over TCP except
 * HTTP in plain text.
 */
export function isTcpProtocol(protocol: string | undefined): boolean {
  return ["TCP", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL"].includes(protocol ?? "");
}
