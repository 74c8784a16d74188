import { systemClock, type Clock } from "../../base/index.ts";
import { connectTcp, describeRecords, secureClient } from "../../net/index.ts";
import type { CertificateSource } from "../certificates/certificate-types.ts";
import type { HboneDialer } from "./hbone-pool.ts";

/**
 * Returns a function that connects by TCP and then performs the handshake with the certificate of the source's
 * identity. It waits for the certificate. It sends no SNI and resumes no sessions. The first connection calls
 * `tellRecords` with a text that says which code encrypts the TLS records of all connections.
 */
export function hboneDialer(
  certificates: CertificateSource,
  clock: Clock = systemClock,
  tellRecords?: (description: string) => void,
): HboneDialer {
  let isTold = false;
  return async (target, timeoutMs, signal) => {
    const startedMs = clock.steadyMs();
    const leftMs = () => Math.max(1, Math.ceil(timeoutMs - (clock.steadyMs() - startedMs)));
    const limit = AbortSignal.timeout(Math.ceil(timeoutMs));
    const certificate = await certificates.fetch(
      target.sourceIdentity,
      signal === undefined ? limit : AbortSignal.any([limit, signal]),
    );
    if (tellRecords !== undefined && !isTold) {
      isTold = true;
      tellRecords(await describeRecords());
    }
    const { address, port, namespaceFd, mark, sourceAddress } = target;
    const stream = await connectTcp({
      address,
      port,
      timeoutMs: leftMs(),
      ...(namespaceFd === undefined ? {} : { namespaceFd }),
      ...(mark === undefined ? {} : { mark }),
      ...(sourceAddress === undefined ? {} : { sourceAddress }),
      ...(signal === undefined ? {} : { signal }),
    });
    return await secureClient(stream, certificate.context, {
      alpn: ["h2"],
      ownRecords: true,
      timeoutMs: leftMs(),
      verify: { by: "identities", identities: target.expectedIdentities },
    });
  };
}
