import type { Clock } from "../../base/index.ts";
import { HboneClientConnection, type HboneClientConnectionOptions } from "./hbone-client-connection.ts";
import type { HboneConnectOptions, HboneTunnel } from "./hbone-types.ts";

export interface SingleTunnelOptions
  extends Partial<Pick<HboneConnectOptions, "headers">>, Pick<HboneClientConnectionOptions, "isRetiringBelow"> {
  /** The `host:port` to which the proxy must connect. */
  readonly authority: string;
  /**
   * If set, the tunnel is requested with POST to this path, and with the scheme of the proxy's address. If absent, it
   * is requested with CONNECT.
   */
  readonly post?: { readonly scheme: "http" | "https"; readonly path: string } | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * Opens the only tunnel of a connection to an HTTP/2 proxy. The connection closes with the tunnel, or if the proxy
 * refuses the tunnel.
 */
export async function openSingleTunnel(
  stream: HboneClientConnectionOptions["stream"],
  options: SingleTunnelOptions,
): Promise<HboneTunnel> {
  const { authority, post, headers = [], timeoutMs, clock, isRetiringBelow } = options;
  const connection = new HboneClientConnection({ stream, clock, isRetiringBelow, onClosed: () => undefined });
  connection.start();
  const request =
    post === undefined
      ? [":method", "CONNECT", ":authority", authority]
      : [":method", "POST", ":scheme", post.scheme, ":path", post.path, ":authority", authority];
  try {
    return await connection.openBy(request, { authority, headers }, timeoutMs);
  } finally {
    // The connection ends with its only tunnel, or at once if there is none.
    connection.takeNoMore();
  }
}
