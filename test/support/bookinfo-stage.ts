// What tests need that use an application behind a gateway: addresses for gateways, the ambient mesh, and bookinfo.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import type { LabCluster } from "./lab-cluster.ts";

const addresses = `apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: pool, namespace: metallb-system}
spec: {addresses: [172.18.255.200-172.18.255.250]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
`;

export interface BookinfoStageOptions {
  /** The samples are read from this tree. */
  readonly releaseRoot: string;
  /** Whether bookinfo's namespace (`default`) is in the ambient mesh. */
  readonly ambient?: boolean;
  /** Further objects, as YAML. */
  readonly more?: string;
}

/** Prepares an existing cluster. Waits until bookinfo's page is served, and returns its URL. */
export async function setBookinfoStage(
  lab: LabCluster,
  { releaseRoot, ambient = true, more }: BookinfoStageOptions,
): Promise<string> {
  const samples = join(releaseRoot, "samples");
  await lab.ok(["kubectl", "apply", "-f", "-"], addresses);
  await lab.ok([lab.serin, "install", "--set", "profile=ambient", "-y"]);
  if (ambient) await lab.ok(["kubectl", "label", "namespace", "default", "istio.io/dataplane-mode=ambient"]);
  await lab.ok(["kubectl", "apply", "-f", join(samples, "bookinfo/platform/kube/bookinfo.yaml")]);
  const gateway = readFileSync(join(samples, "bookinfo/gateway-api/bookinfo-gateway.yaml"), "utf8");
  await lab.ok(["kubectl", "apply", "-f", "-"], gateway.replace("from: Same", "from: All"));
  if (more !== undefined) await lab.ok(["kubectl", "apply", "-f", "-"], more);
  const address = await eventually("the gateway has an address", async () => {
    const { output } = await lab.run([
      "kubectl",
      "get",
      "gateway",
      "bookinfo-gateway",
      "-o",
      "jsonpath={.status.addresses[0].value}",
    ]);
    return /^172\.18\.255\.\d+$/.test(output) ? output : undefined;
  });
  await lab.ok(["kubectl", "wait", "--for=condition=Ready", "pods", "--all", "--timeout=90s"]);
  const url = `http://${address}/productpage`;
  const answers = await eventually("bookinfo answers", async () => {
    const { output } = await lab.shell(`curl -s -m 2 ${url}`);
    return output.includes("Reviews served by") ? output : undefined;
  });
  assert.match(answers, /Simple Bookstore App/);
  return url;
}
