import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { ingressKind } from "../../api/kubernetes/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import type { WantedIngressStatus } from "../model/index.ts";
import { runStatusWriter } from "./status-writer.ts";

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

test("an Ingress gets the addresses of the ingress gateway in its status, and new ones when they change", async () => {
  const client = new FakeKubeClient();
  client.put(ingressKind, { metadata: { namespace: "shop", name: "web" } });
  const graph = new CollectionGraph();
  const ingresses = graph.source<WantedIngressStatus>("ingresses");
  const none = graph.source<never>("none");
  running.push(
    runStatusWriter(
      {
        client,
        gateways: none,
        listenerSets: none,
        policies: none,
        routes: [],
        ingresses,
        clock: systemClock,
        log: silentLogger,
      },
      stopped.signal,
    ),
  );
  for (const ip of ["172.18.255.1", "172.18.255.2"]) {
    graph.batch(() => ingresses.set("shop/web", { namespace: "shop", name: "web", addresses: [{ ip }] }));
    await until(
      async () => (await client.get(ingressKind, "web", "shop"))?.status?.loadBalancer?.ingress?.[0]?.ip === ip,
    );
  }
});
