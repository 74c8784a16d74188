import assert from "node:assert/strict";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { connectTcp, listenTcp, secureServer } from "../../net/index.ts";
import { CertificateManager } from "../certificates/certificate-manager.ts";
import { FakeCertificateAuthority } from "../certificates/fake-certificate-authority.ts";
import { relay } from "../relay.ts";
import { hboneDialer } from "./hbone-dialer.ts";
import { HbonePool } from "./hbone-pool.ts";
import { serveHbone } from "./hbone-server.ts";
import type { HboneRequest, HboneServerConnection, HboneTunnel } from "./hbone-types.ts";
import { connectWithin } from "./inner-tunnel.ts";
import { echo } from "../../net/testing/index.ts";

const [client, gateway, server] = ["client", "gateway", "server"].map(
  (name) => `spiffe://cluster.local/ns/default/sa/${name}`,
) as [string, string, string];
const certificates = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
after(() => certificates.close());
const authority = "web.shop.svc.cluster.local:80";

async function hboneServer(
  identity: string,
  onConnect: (request: HboneRequest) => void,
  onServing: (server: HboneServerConnection) => void = () => undefined,
) {
  return await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    void secureServer(raw, async () => (await certificates.fetch(identity)).context, {
      alpn: ["h2"],
      timeoutMs: 5_000,
      clientCertificate: "require",
    })
      .then((stream) => onServing(serveHbone(stream, { onConnect })))
      // A client that rejects the server's identity ends the connection.
      .catch(() => undefined);
  });
}

test("a tunnel within a tunnel ends at a verified server behind the gateway, and both get the service's name", async () => {
  const requests: [string, string, string | undefined][] = [];
  const note = (who: string, { authority: name, headers, peerIdentity }: HboneRequest): void => {
    assert.equal(peerIdentity, client);
    requests.push([who, name, headers.find(([key]) => key === "x-istio-origin-network")?.[1]]);
  };
  const inner = await hboneServer(server, (request) => (note("server", request), echo(request.accept())));
  const outer = await hboneServer(gateway, (request) => {
    note("gateway", request);
    // The gateway relays the bytes of the tunnel unchanged.
    void connectTcp({ ...inner.address, timeoutMs: 5_000 }).then((onwards) => void relay(request.accept(), onwards));
  });
  const pool = new HbonePool({ dial: hboneDialer(certificates) });
  const connect = async (expected: string) => {
    const tunnel = await pool.connect({
      sourceIdentity: client,
      ...outer.address,
      expectedIdentities: [gateway],
      authority,
      headers: [],
      timeoutMs: 5_000,
    });
    return await connectWithin(tunnel, certificates, {
      sourceIdentity: client,
      expectedIdentities: [expected],
      authority,
      headers: [["x-istio-origin-network", "net-a"]],
      timeoutMs: 5_000,
      clock: systemClock,
    });
  };
  const tunnel = await connect(server);
  assert.equal(tunnel.peerIdentity, server);
  const echoed = new Promise<string>((resolve) =>
    tunnel.setHandler({ data: (chunk) => resolve(chunk.toString()), end() {}, drain() {}, close() {} }),
  );
  tunnel.resume();
  tunnel.write(Buffer.from("through two tunnels"));
  assert.equal(await echoed, "through two tunnels");
  assert.deepEqual(requests, [
    ["gateway", authority, undefined],
    ["server", authority, "net-a"],
  ]);
  await assert.rejects(connect(gateway), /the server is spiffe:.*server, expected spiffe:.*gateway/);
  tunnel.destroy();
  pool.close();
  outer.close();
  inner.close();
});

test("a nested tunnel may be kept until either of the two ends", async () => {
  const servers = new Map<string, HboneServerConnection>();
  const inner = await hboneServer(
    server,
    (request) => echo(request.accept()),
    (one) => servers.set("inner", one),
  );
  const outer = await hboneServer(
    gateway,
    (request) =>
      void connectTcp({ ...inner.address, timeoutMs: 5_000 }).then((onwards) => void relay(request.accept(), onwards)),
    (one) => servers.set("outer", one),
  );
  for (const ending of ["inner", "outer"]) {
    const pool = new HbonePool({ dial: hboneDialer(certificates) });
    const below = await pool.connect({
      sourceIdentity: client,
      ...outer.address,
      expectedIdentities: [gateway],
      authority,
      headers: [],
      timeoutMs: 5_000,
    });
    const tunnel = await connectWithin(below, certificates, {
      sourceIdentity: client,
      expectedIdentities: [server],
      authority,
      headers: [],
      timeoutMs: 5_000,
      clock: systemClock,
    });
    assert.equal(tunnel.retiring, false);
    servers.get(ending)?.drain();
    await until(() => tunnel.retiring);
    tunnel.destroy();
    pool.close();
  }
  outer.close();
  inner.close();
});

test("without a certificate the outer tunnel is released", async () => {
  let destroyed = 0;
  const outer = { destroy: () => void (destroyed += 1) } as unknown as HboneTunnel;
  const none = {
    fetch: async () => await Promise.reject(new Error("the authority is away")),
  } as unknown as typeof certificates;
  await assert.rejects(
    connectWithin(outer, none, {
      sourceIdentity: client,
      expectedIdentities: [],
      authority,
      headers: [],
      timeoutMs: 5_000,
      clock: systemClock,
    }),
    /the authority is away/,
  );
  assert.equal(destroyed, 1);
});
