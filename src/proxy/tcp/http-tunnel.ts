import { transientError } from "../../base/index.ts";
import { peek, unread, type ByteStream } from "../../net/index.ts";

/** The settings of a raw TCP connection that continues inside a request to an HTTP proxy. */
export interface HttpTunnelSpec {
  /** The `host:port` to which the proxy must connect. */
  readonly authority: string;
  /** The path of a POST, which is used instead of CONNECT. Undefined means CONNECT. */
  readonly postPath: string | undefined;
}

const headEnd = "\r\n\r\n";
const maxHeadBytes = 16_384;

/**
 * Opens a tunnel over a connection to an HTTP/1.1 proxy, and returns the stream inside it. If the proxy refuses, closes
 * the connection and rejects.
 */
export async function openHttpTunnel(stream: ByteStream, spec: HttpTunnelSpec, timeoutMs: number): Promise<ByteStream> {
  const { authority, postPath } = spec;
  const first = postPath === undefined ? `CONNECT ${authority} HTTP/1.1` : `POST ${postPath} HTTP/1.1`;
  const more = postPath === undefined ? "" : "connection: Upgrade\r\nupgrade: bytestream\r\n";
  stream.write(Buffer.from(`${first}\r\nhost: ${authority}\r\n${more}\r\n`));
  const { bytes, outcome, error } = await peek(stream, {
    enough: (seen) => seen.includes(headEnd),
    maxBytes: maxHeadBytes,
    timeoutMs,
  });
  const end = bytes.indexOf(headEnd);
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(bytes.toString("latin1", 0, 16))?.[1];
  if (outcome === "enough" && end >= 0 && (status?.startsWith("2") === true || status === "101"))
    return unread(stream, bytes.subarray(end + headEnd.length));
  stream.destroy();
  throw transientError(
    "tunnel-refused",
    `the proxy did not open a tunnel to ${authority}: ${outcome === "enough" ? `status ${status ?? "unreadable"}` : (error?.message ?? outcome)}`,
  );
}
