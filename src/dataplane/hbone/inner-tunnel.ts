import type { Clock } from "../../base/index.ts";
import { secureClient, type TlsContext } from "../../net/index.ts";
import type { CertificateSource } from "../certificates/certificate-types.ts";
import type { HboneConnectOptions, HboneTunnel } from "./hbone-types.ts";
import { openSingleTunnel } from "./single-tunnel.ts";

export interface InnerTunnelOptions extends Pick<
  HboneConnectOptions,
  "sourceIdentity" | "expectedIdentities" | "authority" | "headers" | "timeoutMs"
> {
  readonly clock: Clock;
}

/**
 * Opens a tunnel within a tunnel. The end of the outer tunnel forwards bytes, so a second TLS connection inside it
 * reaches the final peer. The inner connection carries a single tunnel and is not shared, because another tunnel may
 * have another peer. If it fails, the outer tunnel is closed.
 */
export async function connectWithin(
  outer: HboneTunnel,
  certificates: CertificateSource,
  options: InnerTunnelOptions,
): Promise<HboneTunnel> {
  const { sourceIdentity, expectedIdentities, authority, headers, timeoutMs, clock } = options;
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
  return await openSingleTunnel(stream, {
    authority,
    headers,
    timeoutMs,
    clock,
    isRetiringBelow: () => outer.retiring,
  });
}
