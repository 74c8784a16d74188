import { listenOnLoopback } from "../../../test/support/listen-on-loopback.ts";
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { plainEndpoints } from "../testing/ads-server.ts";
import { outboundCluster } from "../testing/mesh-config.ts";
import { freePort } from "../../net/testing/index.ts";
import { sendText } from "../testing/harness.ts";
import { TestProxy } from "../testing/test-proxy.ts";

const type = "type.googleapis.com/envoy.extensions";

test("a raw TCP proxy supports a tunnel through a forward proxy, a limit, and the access log", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-tcp-"));
  const echo = createServer((socket) => void socket.on("error", () => undefined).pipe(socket));
  const echoPort = await listenOnLoopback(echo);
  const tunnels: string[] = [];
  const forward = createHttpServer().on("connect", (request, socket) => {
    tunnels.push(request.url ?? "");
    if (request.url !== "echo.test:7") {
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      return;
    }
    const upstream = connect(echoPort, "127.0.0.1");
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    upstream.pipe(socket).pipe(upstream);
    for (const one of [socket, upstream]) one.on("error", () => undefined);
  });
  const forwardPort = await listenOnLoopback(forward);
  const [direct, tunnelled, refused, limited] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const log = join(directory, "access.log");
  const listener = (
    port: number,
    cluster: string,
    more: Readonly<Record<string, JsonValue>> = {},
    before: readonly JsonValue[] = [],
  ): JsonValue => ({
    name: `l${port}`,
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    filterChains: [
      {
        filters: [
          ...before,
          {
            name: "envoy.filters.network.tcp_proxy",
            typedConfig: {
              "@type": `${type}.filters.network.tcp_proxy.v3.TcpProxy`,
              statPrefix: cluster,
              cluster,
              accessLog: [
                {
                  name: "file",
                  typedConfig: {
                    "@type": `${type}.access_loggers.file.v3.FileAccessLog`,
                    path: log,
                    logFormat: {
                      textFormatSource: {
                        inlineString:
                          '"%REQ(:METHOD)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %REQUESTED_SERVER_NAME%\n',
                      },
                    },
                  },
                },
              ],
              ...more,
            },
          },
        ],
      },
    ],
  });
  {
    await using proxy = await TestProxy.start({
      name: "gateway",
      role: "router",
      authority: new FakeCertificateAuthority(),
    });
    const { ads } = proxy;
    ads.push(typeUrls.cluster, {
      echo: outboundCluster("echo", "echo", ""),
      forward: outboundCluster("forward", "forward", ""),
    });
    ads.push(typeUrls.endpoint, {
      echo: plainEndpoints("echo", [echoPort]),
      forward: plainEndpoints("forward", [forwardPort]),
    });
    ads.push(typeUrls.listener, {
      direct: listener(direct, "echo"),
      tunnelled: listener(tunnelled, "forward", { tunnelingConfig: { hostname: "echo.test:7" } }),
      refused: listener(refused, "forward", { tunnelingConfig: { hostname: "elsewhere.test:7" } }),
      limited: listener(limited, "echo", {}, [
        {
          name: "limit",
          typedConfig: {
            "@type": `${type}.filters.network.connection_limit.v3.ConnectionLimit`,
            statPrefix: "limit",
            maxConnections: "1",
          },
        },
      ]),
    });
    await proxy.ready();
    assert.equal(await sendText(direct, "hello"), "hello");
    assert.equal(await sendText(tunnelled, "through"), "through");
    assert.equal(await sendText(refused, "no"), "");
    assert.deepEqual(tunnels, ["echo.test:7", "elsewhere.test:7"]);
    const first = connect(limited, "127.0.0.1");
    first.write("x");
    await new Promise((resolve) => first.once("data", resolve));
    assert.equal(await sendText(limited, "second"), "");
    first.end();
    await new Promise((resolve) => first.once("close", resolve));
  }
  const lines = readFileSync(log, "utf8").trim().split("\n").sort();
  assert.deepEqual(lines.slice(0, 3), [
    `"- -" 0 - "-" 1 1 127.0.0.1:${echoPort} echo -`,
    `"- -" 0 - "-" 5 5 127.0.0.1:${echoPort} echo -`,
    `"- -" 0 - "-" 7 7 127.0.0.1:${forwardPort} forward -`,
  ]);
  assert.match(lines[3] ?? "", /^"- -" 0 UF "the proxy did not open a tunnel to elsewhere\.test:7: status 403" 0 0 /);
  rmSync(directory, { recursive: true });
  forward.closeAllConnections();
  forward.close();
  echo.close();
});
