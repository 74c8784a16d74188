import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { fakePod } from "./testing/fake-mesh.ts";
import { scrapePod } from "./scrape.ts";

const closedPort = "1";

test("the error for a pod whose metrics cannot be read names the pod, what happened, and a command", async () => {
  const pod = fakePod({
    name: "web-1",
    annotations: { "prometheus.io/port": closedPort },
    status: { podIP: "127.0.0.1" },
  });
  await assert.rejects(scrapePod(pod), {
    message:
      "pod shop/web-1 does not report its metrics: nothing listens on 127.0.0.1:1 (ECONNREFUSED); the engine asks again; if this lasts, see kubectl -n shop describe pod web-1",
  });
});

test("only the named families are requested from a pod, and other families in its response are ignored", async () => {
  const urls: string[] = [];
  const server = createServer((request, response) => {
    urls.push(request.url ?? "");
    response.end("istio_requests_total 3\nserin_proxy_listeners 2\nother_total 1\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const pod = fakePod({
    name: "web-1",
    annotations: { "prometheus.io/port": String((server.address() as AddressInfo).port) },
    status: { podIP: "127.0.0.1" },
  });
  const names = async (families?: readonly string[]): Promise<string[]> =>
    (await scrapePod(pod, families)).map(({ name }) => name);
  assert.deepEqual(await names(["istio_requests_total", "serin_proxy_listeners"]), [
    "istio_requests_total",
    "serin_proxy_listeners",
  ]);
  assert.deepEqual(await names(), ["istio_requests_total", "serin_proxy_listeners", "other_total"]);
  assert.deepEqual(urls, ["/metrics?name[]=istio_requests_total&name[]=serin_proxy_listeners", "/metrics"]);
  server.closeAllConnections();
  server.close();
});
