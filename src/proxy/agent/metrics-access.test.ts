import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { forOwnPod, type EndpointRoute } from "../../dataplane/index.ts";
import { readSettings } from "../proxy-settings.ts";
import { metricsRoutes } from "./merged-metrics.ts";

test("METRICS_LOCALHOST_ACCESS_ONLY restricts the metrics of every port to callers in the pod", async () => {
  const answers = async (env: Record<string, string>, remoteAddress: string): Promise<readonly number[]> => {
    const { metricsInPodOnly } = readSettings({ env, args: ["proxy", "sidecar"], version: "1", labelsFile: "" });
    const metrics: EndpointRoute = () => ({ status: 200, body: "metrics" });
    const { status, envoy } = metricsRoutes({
      merged: metrics,
      own: metrics,
      inPodOnly: metricsInPodOnly,
      inPod: (route) => forOwnPod(route, () => false),
    });
    const request = { socket: { remoteAddress } } as unknown as IncomingMessage;
    const url = new URL("http://localhost/");
    const routes = [...Object.values(status), ...Object.values(envoy)];
    return await Promise.all(routes.map(async (route) => (await route(request, url)).status));
  };
  const closed = { METRICS_LOCALHOST_ACCESS_ONLY: "true" };
  const secured = metricsRoutes({
    merged: () => ({ status: 200, body: "" }),
    own: () => ({ status: 200, body: "" }),
    inPodOnly: true,
    inPod: () => () => ({ status: 403, body: "" }),
  });
  assert.deepEqual(Object.keys(secured.secure), ["/stats/prometheus"]);
  for (const route of [...Object.values(secured.secure), ...Object.values(secured.secureMerged)])
    assert.equal((await route({} as IncomingMessage, new URL("http://localhost/"))).status, 200);
  assert.deepEqual(await answers({}, "10.0.0.9"), [200, 200, 200]);
  assert.deepEqual(await answers(closed, "10.0.0.9"), [403, 403, 403]);
  assert.deepEqual(await answers(closed, "127.0.0.1"), [200, 200, 200]);
});
