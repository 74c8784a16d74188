import { readFileSync } from "node:fs";
import { silentLogger, toSerinError } from "../../src/base/index.ts";
import {
  CertificateManager,
  FakeCertificateAuthority,
  HbonePool,
  type HboneTunnel,
} from "../../src/dataplane/index.ts";
import { connectTcp, isSystemCode, secureClient } from "../../src/net/index.ts";
import type { Failure } from "./clients.ts";
import type { Exchange } from "./rate-client.ts";

const sourceIdentity = "spiffe://cluster.local/ns/default/sa/client";
const verify = { by: "identities", identities: [] } as const;
/** The mark of a ztunnel's own connections, which the rules of a pod do not capture. */
const ownMark = 0x539;
/** A time that is longer than the client's own limit for a connection, so that the client counts it as timed out. */
const timeoutMs = 30_000;

/**
 * Returns an exchange that opens a connection with mutual TLS and a tunnel on it, as a ztunnel of another node does for
 * its first connection to a pod. It sends the target's number of bytes through the tunnel, and waits for the same
 * number of bytes and the end of the tunnel. `authority` is the address and port of the application. `rootFile` has the
 * root of the mesh.
 */
export function tunnelExchange(authority: string, rootFile: string): Exchange {
  const root = JSON.parse(readFileSync(rootFile, "utf8")) as {
    readonly keyPem: string;
    readonly certificatePem: string;
  };
  const certificates = new CertificateManager({
    authority: new FakeCertificateAuthority({ root }),
    log: silentLogger,
  });
  return ({ port, messageBytes }, address, done) => {
    const pool = new HbonePool({
      dial: async () => {
        const stream = await connectTcp({ address, port, mark: ownMark, timeoutMs });
        const { context } = await certificates.fetch(sourceIdentity);
        return await secureClient(stream, context, { alpn: ["h2"], timeoutMs, verify });
      },
    });
    let closed = false;
    const close = (): void => {
      closed = true;
      pool.close();
    };
    const finish = (failure: Failure | undefined): void => {
      if (closed) return;
      close();
      done(failure);
    };
    const identities = { sourceIdentity, expectedIdentities: [] };
    pool.connect({ ...identities, address, port, authority, headers: [], timeoutMs }).then(
      (tunnel) => echo(tunnel, messageBytes, finish),
      (error: unknown) => finish(failureOf(error)),
    );
    return close;
  };
}

function echo(tunnel: HboneTunnel, messageBytes: number, finish: (failure: Failure | undefined) => void): void {
  let receivedBytes = 0;
  tunnel.setHandler({
    data: (chunk) => void (receivedBytes += chunk.length),
    end: () => finish(receivedBytes === messageBytes ? undefined : "cut off"),
    drain() {},
    close: (error) => finish(error === undefined ? "cut off" : failureOf(error)),
  });
  tunnel.resume();
  tunnel.write(Buffer.alloc(messageBytes));
  tunnel.end();
}

function failureOf(error: unknown): Failure {
  if (isSystemCode(error, "ECONNREFUSED")) return "refused";
  if (isSystemCode(error, "ECONNRESET", "EPIPE")) return "reset";
  return toSerinError(error).code;
}
