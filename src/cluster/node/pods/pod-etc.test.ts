import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { clusterResolver, resolverFile } from "../../record/index.ts";
import { etcFilesOf } from "./pod-etc.ts";

function resolverOf(namespace: string, spec: object): string | undefined {
  const pod = { metadata: { name: "web", namespace }, spec: { containers: [], ...spec } } as unknown as Pod;
  return etcFilesOf(pod, "10.244.0.5", "node")["resolv.conf"];
}

test("a pod asks the lab's DNS and completes names in its namespace, as the cluster's shell does in default", () => {
  const expected = (namespace: string): string =>
    `nameserver 10.96.0.10\nsearch ${namespace}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n`;
  assert.equal(resolverOf("shop", {}), expected("shop"));
  assert.equal(resolverFile(clusterResolver("default")), expected("default"));
});

test("a pod's dnsConfig adds to the lab's DNS, its ndots counts alone, and None leaves only the pod's own", () => {
  const dnsConfig = {
    nameservers: ["192.0.2.1"],
    searches: ["example.org"],
    options: [{ name: "ndots", value: "1" }, { name: "rotate" }],
  };
  assert.equal(
    resolverOf("shop", { dnsConfig }),
    "nameserver 10.96.0.10\nnameserver 192.0.2.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local example.org\noptions ndots:1 rotate\n",
  );
  assert.equal(
    resolverOf("shop", { dnsConfig, dnsPolicy: "None" }),
    "nameserver 192.0.2.1\nsearch example.org\noptions ndots:1 rotate\n",
  );
  assert.equal(resolverOf("shop", { dnsPolicy: "None" }), "");
});
