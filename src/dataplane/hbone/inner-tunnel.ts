import type { Clock } from "../../base/index.ts";
import { secureClient, type TlsContext } from "../../net/index.ts";
import type { CertificateSource } from "../certificates/certificate-types.ts";
import { HboneClientConnection } from "./hbone-client-connection.ts";
import type { HboneConnectOptions, HboneTunnel } from "./hbone-types.ts";

export interface InnerTunnelOptions extends Pick<
  HboneConnectOptions,
  "sourceIdentity" | "expectedIdentities" | "authority" | "headers" | "timeoutMs"
> {
  readonly clock: Clock;
}

/**
 * HBONE within HBONE: who ends the outer tunnel passes on what is in it, so that a TLS connection of its own goes to whom that leads to.
 * It carries this one tunnel and is shared with nobody: another might be led to another peer. On failure the outer tunnel is closed.
 */
export async function connectWithin(
  outer: HboneTunnel,
  certificates: CertificateSource,
  options: InnerTunnelOptions,
): Promise<HboneTunnel> {
  const { sourceIdentity, expectedIdentities, timeoutMs, clock } = options;
  let context: TlsContext;
  try {
    ({ context } = await certificates.fetch(sourceIdentity, AbortSignal.timeout(Math.ceil(timeoutMs))));
  } catch (error) {
    outer.destroy();
    throw error;
  }
  const stream = await secureClient(outer, context, {
    alpn: ["h2"],
    timeoutMs,
    verify: { by: "identities", identities: expectedIdentities },
  });
  const connection = new HboneClientConnection({
    stream,
    clock,
    onClosed: () => undefined,
    isRetiringBelow: () => outer.retiring,
  });
  connection.start();
  try {
    return await connection.open({ ...options, address: stream.remote.address, port: stream.remote.port }, timeoutMs);
  } finally {
    // It ends with its only tunnel, or at once when there is none.
    connection.takeNoMore();
  }
}
