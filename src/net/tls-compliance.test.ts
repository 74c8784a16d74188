import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type AddressInfo, type Server } from "node:net";
import { test } from "node:test";
import {
  connect,
  createSecureContext,
  TLSSocket,
  type EphemeralKeyInfo,
  type SecureContext,
  type SecureContextOptions,
} from "node:tls";
import { TestAuthority } from "./testing/certificates.ts";
import { negotiationUnder, TlsContext, type TlsContextOptions } from "./tls-context.ts";

const { certificateChain, privateKey } = await (await TestAuthority.create()).issue({ dns: "server.test" });
const own = { cert: certificateChain, key: privateKey };

type Limits = Pick<TlsContextOptions, "profile" | "minVersion" | "compliance" | "aesGcmOnly" | "ciphers" | "curves">;

function limited(limits: Limits): SecureContext {
  return TlsContext.create({ certificateChain, privateKey, ...limits }).secureContext;
}

/** Version, cipher and group that both ends agree on, or `refused`. */
async function agreed(client: SecureContext, serving: SecureContext): Promise<string> {
  const server = createServer((accepted) => {
    new TLSSocket(accepted, { isServer: true, secureContext: serving }).on("error", () => accepted.destroy()).resume();
  });
  return await agreedWith(server, client);
}

async function agreedWith(server: Server, client: SecureContext): Promise<string> {
  server.on("tlsClientError", () => undefined).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", secureContext: client, rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect");
    const { name } = socket.getEphemeralKeyInfo() as EphemeralKeyInfo;
    return [socket.getProtocol(), socket.getCipher().standardName, name].join(" ");
  } catch {
    return "refused";
  } finally {
    socket.destroy();
    server.close();
  }
}

const anything = createSecureContext();
const only = (more: SecureContextOptions): SecureContext => createSecureContext({ minVersion: "TLSv1.3", ...more });

test("a policy decides on version, cipher and group with clients that offer more, and refuses clients that offer none of the allowed ones", async () => {
  assert.equal(
    await agreed(anything, limited({ compliance: "fips-140-2" })),
    "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 prime256v1",
  );
  assert.match(
    await agreed(anything, limited({ compliance: "fips-140-3" })),
    /^TLSv1.3 TLS_AES_\S+_GCM_\S+ prime256v1$/,
  );
  assert.match(await agreed(anything, limited({ compliance: "pqc" })), /^TLSv1.3 TLS_AES_\S+_GCM_\S+ X25519MLKEM768$/);
  const refused = [
    [only({}), "fips-140-2"],
    [only({ ecdhCurve: "X25519" }), "fips-140-3"],
    [only({ ciphers: "TLS_CHACHA20_POLY1305_SHA256" }), "fips-140-3"],
    [only({ ecdhCurve: "P-256" }), "pqc"],
    [only({ ciphers: "TLS_CHACHA20_POLY1305_SHA256" }), "pqc"],
    [createSecureContext({ maxVersion: "TLSv1.2" }), "pqc"],
  ] as const;
  for (const [client, compliance] of refused)
    assert.equal(await agreed(client, limited({ compliance })), "refused", compliance);
});

test("a policy overrides the versions, ciphers and curves that the options request", async () => {
  const requested = { minVersion: "TLSv1.2", ciphers: ["ECDHE-ECDSA-CHACHA20-POLY1305"], curves: ["P-521"] } as const;
  assert.equal(await agreed(only({ ecdhCurve: "P-521" }), limited({ ...requested, compliance: "pqc" })), "refused");
  assert.match(await agreed(anything, limited({ ...requested, compliance: "pqc" })), /X25519MLKEM768$/);
});

test("two ends of HBONE with a policy agree on a version, and so do ends without one", async () => {
  const end = (compliance?: TlsContextOptions["compliance"]) => limited({ profile: "mesh", compliance });
  assert.match(await agreed(end(), end()), /^TLSv1.3 TLS_AES_\S+_GCM_\S+ X25519$/);
  for (const [compliance, group] of [
    ["fips-140-2", "prime256v1"],
    ["fips-140-3", "prime256v1"],
    ["pqc", "X25519MLKEM768"],
  ] as const)
    for (const [client, serving] of [
      [end(compliance), end(compliance)],
      [end(compliance), end()],
      [end(), end(compliance)],
    ] as const)
      assert.match(await agreed(client, serving), new RegExp(`^TLSv1.3 TLS_AES_\\S+_GCM_\\S+ ${group}$`), compliance);
});

test("with fips-140-2, HBONE speaks TLS 1.2 with the servers of waypoints if its end has that policy or allows it", async () => {
  const waypoint = limited({ compliance: "fips-140-2" });
  const hbone = { profile: "mesh" } as const;
  assert.match(await agreed(limited({ ...hbone, compliance: "fips-140-2" }), waypoint), /^TLSv1.2 .*prime256v1$/);
  assert.match(await agreed(limited({ ...hbone, minVersion: "TLSv1.2", aesGcmOnly: true }), waypoint), /^TLSv1.2 /);
  assert.equal(await agreed(limited(hbone), waypoint), "refused");
});

test("a server of Node's own HTTPS keeps the policy when its certificate is replaced", async () => {
  const server = createHttpsServer({ ...own, ...negotiationUnder("pqc") });
  server.setSecureContext({ ...own, ...negotiationUnder("pqc") });
  assert.equal(await agreedWith(server, only({ ecdhCurve: "P-256" })), "refused");
});

test("with AES-GCM alone, TLS 1.3 has no other ciphers, and by default TLS 1.2 has none either", async () => {
  const aesGcm = limited({ aesGcmOnly: true });
  assert.equal(await agreed(only({ ciphers: "TLS_CHACHA20_POLY1305_SHA256" }), aesGcm), "refused");
  assert.match(await agreed(only({ ciphers: "TLS_CHACHA20_POLY1305_SHA256" }), limited({})), /CHACHA20/);
  const older = (ciphers: string) => createSecureContext({ maxVersion: "TLSv1.2", ciphers });
  assert.equal(await agreed(older("ECDHE-ECDSA-CHACHA20-POLY1305"), aesGcm), "refused");
  assert.match(await agreed(older("ECDHE-ECDSA-AES128-GCM-SHA256"), aesGcm), /^TLSv1.2/);
});
