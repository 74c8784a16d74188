import { connectTcp, listenTcp, secureClient, secureServer, type SecureStream } from "../../../net/index.ts";
import type { WorkloadCertificate } from "../certificate-types.ts";

/** One end of a connection: its stream, or the reason why it refused the other end. */
export type HandshakeEnd = SecureStream | string;

/** Performs a handshake as in HBONE. Disposing the result closes both ends. */
export async function handshake(
  client: WorkloadCertificate,
  server: WorkloadCertificate,
): Promise<Disposable & { readonly client: HandshakeEnd; readonly server: HandshakeEnd }> {
  const served = Promise.withResolvers<HandshakeEnd>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    secureServer(raw, () => server.context, { alpn: ["h2"], timeoutMs: 5000, clientCertificate: "require" }).then(
      served.resolve,
      (error: unknown) => served.resolve(String(error)),
    );
  });
  const raw = await connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
  const dialed = await secureClient(raw, client.context, {
    alpn: ["h2"],
    timeoutMs: 5000,
    verify: { by: "identities", identities: [] },
  }).catch((error: unknown) => String(error));
  const accepted = await served.promise;
  listener.close();
  return {
    client: dialed,
    server: accepted,
    [Symbol.dispose]: () => {
      for (const end of [dialed, accepted]) if (typeof end !== "string") end.destroy();
    },
  };
}
