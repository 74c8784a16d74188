import assert from "node:assert/strict";
import { createServer as createHttp2Server } from "node:http2";
import { connect, createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { plainEndpoints } from "../testing/ads-server.ts";
import { sendText } from "../testing/harness.ts";
import { outboundCluster } from "../testing/mesh-config.ts";
import { TestProxy } from "../testing/test-proxy.ts";

const type = "type.googleapis.com/envoy.extensions";

test("a raw TCP proxy tunnels through a forward proxy that speaks HTTP/2, by CONNECT or POST", async (context) => {
  const echo = createServer((socket) => void socket.on("error", () => undefined).pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const requests: (readonly [method: unknown, path: unknown, authority: unknown])[] = [];
  const forward = createHttp2Server().on("stream", (stream, headers) => {
    requests.push([headers[":method"], headers[":path"], headers[":authority"]]);
    stream.on("error", () => undefined);
    if (headers[":authority"] !== "echo.test:7") {
      stream.respond({ ":status": 403 }, { endStream: true });
      return;
    }
    const upstream = connect((echo.address() as AddressInfo).port, "127.0.0.1").on("error", () => undefined);
    stream.respond({ ":status": 200 });
    upstream.pipe(stream).pipe(upstream);
  });
  await new Promise<void>((resolve) => forward.listen(0, "127.0.0.1", resolve));
  const listener = (name: string, port: number, tunnelingConfig: JsonValue): JsonValue => ({
    name,
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    filterChains: [
      {
        filters: [
          {
            name: "tcp",
            typedConfig: {
              "@type": `${type}.filters.network.tcp_proxy.v3.TcpProxy`,
              statPrefix: "tcp",
              cluster: "forward",
              tunnelingConfig,
            },
          },
        ],
      },
    ],
  });
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  context.after(() => {
    echo.close();
    forward.close();
  });
  const { ads } = proxy;
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const [connecting, posting, refused] = ports;
  ads.push(typeUrls.cluster, {
    forward: {
      ...(outboundCluster("forward", "forward", "") as JsonObject),
      typedExtensionProtocolOptions: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": `${type}.upstreams.http.v3.HttpProtocolOptions`,
          explicitHttpConfig: { http2ProtocolOptions: {} },
        },
      },
    },
  });
  ads.push(typeUrls.endpoint, { forward: plainEndpoints("forward", [(forward.address() as AddressInfo).port]) });
  ads.push(typeUrls.listener, {
    connecting: listener("connecting", connecting, { hostname: "echo.test:7" }),
    posting: listener("posting", posting, { hostname: "echo.test:7", usePost: true, postPath: "/tunnel" }),
    refused: listener("refused", refused, { hostname: "elsewhere.test:7" }),
  });
  await proxy.ready();
  assert.equal(await sendText(connecting, "through"), "through");
  assert.equal(await sendText(posting, "posted"), "posted");
  assert.equal(await sendText(refused, "no"), "");
  assert.deepEqual(requests, [
    ["CONNECT", undefined, "echo.test:7"],
    ["POST", "/tunnel", "echo.test:7"],
    ["CONNECT", undefined, "elsewhere.test:7"],
  ]);
});
