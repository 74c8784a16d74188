/** A host and a port as one text. An IPv6 address gets brackets. */
export function joinedHostPort(host: string, port: number | string): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
