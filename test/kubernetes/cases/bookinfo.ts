import { serviceKind } from "../../../src/api/kubernetes/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { loadPlan } from "../constant-load.ts";
import { ambient, defaultCpuRequest, generatorObject, namespaceObject } from "../objects.ts";
import { root } from "../real-cluster.ts";

export const shop = "bookinfo";
export const page = "<title>Simple Bookstore App</title>";

export const bookinfoCase: Case = {
  name: "bookinfo",
  title: "bookinfo runs in an ambient namespace, with a LoadBalancer's gateway and load from outside and from a pod",
  after: ["install"],
  async run(bench) {
    const { cluster, load } = bench;
    await cluster.api.apply([namespaceObject(shop, ambient), defaultCpuRequest(shop)]);
    for (const file of ["platform/kube/bookinfo.yaml", "gateway-api/bookinfo-gateway.yaml"])
      await cluster.kubectl("apply", "-n", shop, "-f", `${root}/samples/bookinfo/${file}`);
    await cluster.available(shop);
    const url = `http://${await addressOf(bench, "bookinfo-gateway-istio", shop)}/productpage`;
    await eventually(`${url} answers`, async () => {
      const { output } = await cluster.run(["curl", "-s", "-m", "3", url]);
      return output.includes(page) && output.includes("Reviews served by");
    });
    load.begin("gateway", [{ name: "gateway: page", url, expected: page, perSecond: 8 }]);
    const inside = [
      { name: "pod: details", url: `http://details.${shop}:9080/details/0`, expected: "William Shakespeare" },
      { name: "pod: reviews", url: `http://reviews.${shop}:9080/reviews/0`, expected: '"reviews"' },
    ];
    await cluster.api.apply([generatorObject("load", shop, loadPlan(cluster.files.reports, inside))]);
    await cluster.available(shop);
    await load.more(200);
    return url;
  },
};

export async function addressOf({ cluster }: Bench, service: string, namespace: string): Promise<string> {
  return await eventually(`${service} of ${namespace} has an address`, async () => {
    const { status } = (await cluster.api.client.get(serviceKind, service, namespace)) ?? {};
    return status?.loadBalancer?.ingress?.[0]?.ip;
  });
}
