import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { fetchOnce } from "../testing/harness.ts";
import { TestProxy } from "../testing/test-proxy.ts";
import { runAgentCommand } from "./agent-command.ts";

test("the agent makes the kubelet's probes, adds the application's metrics, and answers commands", async () => {
  const requests: string[] = [];
  const app = createServer((request, response) => {
    requests.push(`${request.url ?? ""} ${String(request.headers["x-probe"])} ${String(request.headers.host)}`);
    if (request.url === "/metrics") response.end("app_requests_total 7\n");
    else response.writeHead(request.url === "/ready" ? 204 : 503).end();
  });
  const health = createHttp2Server();
  health.on("stream", (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    // Answer SERVING for the service named "up", and NOT_SERVING for others.
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => stream.end(Buffer.from([0, 0, 0, 0, 2, 8, Buffer.concat(parts).includes("up") ? 1 : 2])));
  });
  await Promise.all(
    [app, health].map((server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
  );
  const [port = 0, healthPort = 0] = [app, health].map((server) => (server.address() as AddressInfo).port);
  await using proxy = await TestProxy.start({
    name: "app",
    role: "sidecar",
    authority: new FakeCertificateAuthority(),
    environment: {
      ISTIO_KUBE_APP_PROBERS: JSON.stringify({
        "/app-health/app/readyz": {
          httpGet: { path: "/ready", port, httpHeaders: [{ name: "X-Probe", value: "yes" }] },
        },
        "/app-health/app/livez": { httpGet: { path: "/live", port } },
        "/app-health/app/startupz": { tcpSocket: { port } },
        "/app-health/down/readyz": { tcpSocket: { port: 1 } },
        "/app-health/grpc/readyz": { grpc: { port: healthPort, service: "up" } },
        "/app-health/grpc/livez": { grpc: { port: healthPort } },
      }),
      ISTIO_PROMETHEUS_ANNOTATIONS: JSON.stringify({ scrape: "true", port: String(port), path: "/metrics" }),
    },
  });
  const { ads, ports } = proxy;
  ads.push(typeUrls.cluster, {});
  ads.push(typeUrls.listener, {});
  await proxy.ready();
  const probe = async (path: string): Promise<number> => (await fetchOnce(ports.stats, path)).status;
  assert.equal(await probe("/app-health/app/readyz"), 204);
  assert.equal(requests.at(-1), `/ready yes 127.0.0.1:${port}`);
  assert.deepEqual(
    [
      await probe("/app-health/app/livez"),
      await probe("/app-health/app/startupz"),
      await probe("/app-health/down/readyz"),
    ],
    [503, 200, 500],
  );
  assert.deepEqual([await probe("/app-health/grpc/readyz"), await probe("/app-health/grpc/livez")], [200, 500]);
  const metrics = (await fetchOnce(ports.stats, "/stats/prometheus")).body;
  assert.match(metrics, /^istio_build\{component="proxy",tag="1\.2\.3"\} 1$/m);
  assert.match(metrics, /^app_requests_total 7$/m);

  let output = "";
  const command = async (...args: string[]): Promise<number> => {
    output = "";
    return await runAgentCommand({ args, write: (text) => (output += text), clock: systemClock });
  };
  assert.equal(
    await command("wait", "--url", `http://127.0.0.1:${ports.readiness}/healthz/ready`, "--timeoutSeconds=1"),
    0,
  );
  assert.equal(await command("wait", "--url=http://127.0.0.1:1/healthz/ready", "--timeoutSeconds", "0"), 1);
  assert.equal(await command("request", `--debug-port=${ports.admin}`, "GET", "ready"), 0);
  assert.equal(output, "LIVE\n");
  assert.equal(await command("request", `--debug-port=${ports.stats}`, "POST", "drain"), 0);
  await assert.rejects(command("request", "GET"), /expected: request GET\|POST <path>/);
  assert.equal(await command("request", `--debug-port=${ports.stats}`, "POST", "quitquitquit"), 0);
  await proxy.ended;
  for (const server of [app, health]) server.close();
});
