import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer } from "node:http2";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import { connectivityState } from "@grpc/grpc-js";
import type { CompliancePolicy } from "../base/compliance/index.ts";
import { TestAuthority } from "../net/testing/index.ts";
import { openChannel } from "./grpc-channel.ts";

const authority = await TestAuthority.create();
const { certificateChain: cert, privateKey: key } = await authority.issue({ dns: "istiod.test" });
const folder = await mkdtemp(join(tmpdir(), "serin-channel-"));
after(async () => await rm(folder, { recursive: true }));
const rootCertificateFile = join(folder, "root.pem");
await writeFile(rootCertificateFile, authority.roots);

/** The version of our connection with a control plane, or `refused`. */
async function dialed(serving: SecureContextOptions, compliance?: CompliancePolicy): Promise<string> {
  const server = createSecureServer({ cert, key, ...serving }).listen(0, "127.0.0.1");
  await once(server, "listening");
  let version = "";
  server.on("secureConnection", (socket: TLSSocket) => (version = socket.getProtocol() ?? ""));
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}`;
  const client = await openChannel({ url, rootCertificateFile, headers: {}, serverName: "istiod.test", compliance });
  const channel = client.getChannel();
  try {
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return version;
      if (state === connectivityState.TRANSIENT_FAILURE) return "refused";
      await new Promise<void>((resolve) => channel.watchConnectivityState(state, Infinity, () => resolve()));
    }
  } finally {
    client.close();
    server.close();
  }
}

test("a policy limits the connection to the control plane, and its certificate is verified as without one", async () => {
  assert.equal(await dialed({ ecdhCurve: "P-256" }), "TLSv1.3");
  assert.equal(await dialed({ ecdhCurve: "P-256" }, "pqc"), "refused");
  assert.equal(await dialed({ ecdhCurve: "X25519MLKEM768" }, "pqc"), "TLSv1.3");
  assert.equal(await dialed({}, "fips-140-2"), "TLSv1.2");
  assert.equal(await dialed({ ecdhCurve: "X25519" }, "fips-140-3"), "refused");
  const stranger = await (await TestAuthority.create()).issue({ dns: "istiod.test" });
  assert.equal(await dialed({ cert: stranger.certificateChain, key: stranger.privateKey }, "pqc"), "refused");
});
