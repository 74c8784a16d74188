import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../kube/index.ts";
import { findingsText } from "./cluster-finding.ts";
import { domainFindings } from "./domain-findings.ts";

const path = "/api/v1/namespaces/kube-system/configmaps/coredns";

function clusterOf(corefile: string | undefined, ...pilots: readonly (readonly string[])[]): KubeClient {
  const raw = async (_method: string, asked: string): Promise<object> => {
    assert.equal(asked, path);
    const text = JSON.stringify({ data: { Corefile: corefile } });
    return await Promise.resolve({ status: corefile === undefined ? 404 : 200, headers: {}, text });
  };
  const items = pilots.map((args, index) => ({
    metadata: { name: `istiod-${index}` },
    spec: { template: { spec: { containers: [{ name: "discovery", args }] } } },
  }));
  return { raw, list: async () => await Promise.resolve({ items }) } as unknown as KubeClient;
}

const corefile = (zones: string): string =>
  `.:53 {\n    errors\n    # kubernetes is below\n    kubernetes ${zones} {\n       pods insecure\n    }\n    forward . /etc/resolv.conf\n}\n`;

test("a cluster domain other than that of the mesh is a warning with the value that names it", async () => {
  const found = await domainFindings(clusterOf(corefile("corp.example. in-addr.arpa ip6.arpa")));
  assert.deepEqual(
    found.map((finding) => findingsText([finding])),
    [
      "! cluster domain (ConfigMap kube-system/coredns): Services are below corp.example, and the mesh's values name cluster.local: proxies do not know the Services' full names\n    remedy: serin install --set values.global.proxy.clusterDomain=corp.example (with Helm: --set global.proxy.clusterDomain=corp.example for each chart)\n",
    ],
  );
  const [right, wrong] = [["discovery", "--domain", "corp.example"], ["discovery"]];
  assert.deepEqual(await domainFindings(clusterOf(corefile("corp.example"), right)), []);
  assert.equal((await domainFindings(clusterOf(corefile("corp.example"), right, wrong, wrong))).length, 1);
});

test("the usual domain, another name server and a zone that is no name are no finding", async () => {
  for (const text of [corefile("cluster.local in-addr.arpa"), undefined, ".:53 {\n}\n", corefile("{$DOMAIN}")])
    assert.deepEqual(await domainFindings(clusterOf(text)), [], text);
});
