import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createServer } from "node:tls";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort, TestAuthority } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, plainEndpoints } from "../testing/ads-server.ts";
import { outboundTcp } from "../testing/mesh-config.ts";
import { TestProxy } from "../testing/test-proxy.ts";

/**
 * Less than the time for which the proxy waits for a secret, so that a connection that waits for a missing secret fails
 * the test.
 */
const answerLimitMs = 8000;
/**
 * A worker checks once a second which secrets its configuration names, and forgets a secret that two checks in a row do
 * not find. This time allows for three checks.
 */
const forgottenAfterMs = 3500;

async function echoes(client: Socket): Promise<boolean> {
  client.write("x");
  const answered = once(client, "data").then(() => true);
  const closed = once(client, "close").then(() => false);
  return await Promise.race([answered, closed, setTimeout(answerLimitMs, false, { ref: false })]);
}

test("both workers connect with a secret that only one of them named meanwhile, for a connection of a removed listener", async (context) => {
  const authority = await TestAuthority.create();
  const { certificateChain, privateKey, roots } = await authority.issue({ dns: "upstream.test" });
  const server = createServer({ cert: certificateChain, key: privateKey }, (socket) =>
    socket.on("error", () => undefined).pipe(socket),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    workers: 2,
  });
  const clients: Socket[] = [];
  context.after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  const port = await freePort();
  const { ads } = proxy;
  const add = (): void => {
    const { transportSocketMatches: _, ...cluster } = edsCluster("a") as Record<string, never>;
    const transportSocket = {
      name: "envoy.transport_sockets.tls",
      typedConfig: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni: "upstream.test",
        commonTlsContext: { validationContextSdsSecretConfig: { name: "roots", sdsConfig: { ads: {} } } },
      },
    };
    ads.push(typeUrls.cluster, { a: { ...cluster, transportSocket } });
    ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [(server.address() as AddressInfo).port]) });
    ads.push(typeUrls.listener, {
      main: { ...(outboundTcp("127.0.0.1", port, "a") as object), name: "main", bindToPort: true },
    });
  };
  const client = async (): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    clients.push(socket);
    await once(socket, "connect");
    return socket;
  };
  ads.push(typeUrls.secret, { roots: { name: "roots", validationContext: { trustedCa: { inlineString: roots } } } });
  add();
  await proxy.ready();
  const kept = await client();
  assert.equal(await echoes(kept), true);
  ads.push(typeUrls.listener, {}, ["main"]);
  ads.push(typeUrls.cluster, {}, ["a"]);
  await setTimeout(forgottenAfterMs);
  assert.equal(await echoes(kept), true);
  add();
  await proxy.ready();
  await setTimeout(500);
  const later = await Promise.all(Array.from({ length: 16 }, client));
  assert.deepEqual(new Set(await Promise.all(later.map(echoes))), new Set([true]));
});
