// The probe matrix between two revisions, over every data plane: its result for a correct mesh, and for a broken one.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { join } from "node:path";
import { renderMatrix, type ProbeMatrix } from "../../src/api/serin/index.ts";
import { eventually } from "../support/eventually.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

interface Judged {
  readonly verdict: string;
  readonly evidence: string;
  readonly matrix: ProbeMatrix;
  readonly awake: number;
}

/** Requires mutual TLS in the whole mesh. Probes must work nevertheless. */
const strict = `kubectl apply -f - <<'EOF'
{"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default", "namespace": "istio-system"}, "spec": {"mtls": {"mode": "STRICT"}}}
EOF`;

const allPlanes = "sidecar,ambient,waypoint,gateway,none";

function install(spec: object): string {
  return `serin install -y -f - <<'EOF'\n${JSON.stringify({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec })}\nEOF`;
}

function revision(name: string): string {
  return install({
    profile: "ambient",
    revision: name,
    components: { cni: { enabled: false }, ingressGateways: [{ name: "istio-ingressgateway", enabled: false }] },
  });
}

function probeMatrix(kubectl: Kubectl): void {
  const guide = new Walkthrough("probe-matrix", kubectl);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const look = async (flags = ""): Promise<Judged> => {
    const output = await guide.ok(
      `${process.execPath} ${join(root, "test/support/probe-look.ts")} old,new ${allPlanes} ${flags}`,
    );
    return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Judged;
  };

  before(async () => {
    const created = await guide.lab.createOneNode();
    assert.equal(created.code, 0, created.output);
    await guide.ok(install({ profile: "empty", components: { cni: { enabled: true } } }));
    await guide.ok(revision("old"));
    await guide.ok(revision("new"));
    await guide.ok(strict);
  });
  after(async () => await guide.lab.delete());

  step(
    "every pair of revision and data plane connects over mTLS with the right identities, and clients outside the mesh are refused",
    async () => {
      const { verdict, evidence, matrix, awake } = await look();
      assert.equal(verdict, "pass", `${evidence}\n${renderMatrix(matrix)}`);
      assert.equal(awake, 5, "clients that have answered the request to probe at their full pace");
      assert.equal(matrix.pairs.length, 36);
      for (const { from, to, expected, mutualTls, clientIdentity, serverIdentity } of matrix.pairs) {
        if (expected === "refusal") continue;
        assert.equal(mutualTls, "yes");
        const client =
          from.dataPlane === "gateway" ? `gateway-${from.revision}-istio` : `client-${from.dataPlane}-${from.revision}`;
        const server =
          to.dataPlane === "waypoint" ? `waypoint-${to.revision}` : `server-${to.dataPlane}-${to.revision}`;
        assert.deepEqual(
          [clientIdentity, serverIdentity],
          [client, server].map((account) => `spiffe://cluster.local/ns/serin-probes/sa/${account}`),
        );
      }
    },
  );

  step("a client that left the mesh is named, with every plain-text pair", async () => {
    await guide.ok("kubectl -n serin-probes label pod client-ambient-old istio.io/dataplane-mode=none --overwrite");
    await eventually(
      "it is no longer of the mesh",
      async () =>
        !(await guide.shows(
          "kubectl -n serin-probes get pod client-ambient-old -o jsonpath='{.metadata.annotations}'",
          "redirection",
        )),
    );
    const { verdict, evidence, matrix } = await look("--leaving client-ambient-old");
    assert.equal(verdict, "fail");
    assert.match(evidence, /from old ambient: .*in plain text/);
    const plain = matrix.pairs
      .filter(({ mutualTls, expected }) => expected === "answer" && mutualTls === "no")
      .map(({ from }) => `${from.revision} ${from.dataPlane}`);
    assert.deepEqual([...new Set(plain)], ["old ambient"]);
  });

  step("all objects of the probes are removed with their namespace", async () => {
    await guide.ok("kubectl delete namespace serin-probes --timeout=60s");
    assert.doesNotMatch(
      await guide.ok("kubectl get gateway,deploy,svc -A -o name"),
      /server-|client-|waypoint-|gateway-/,
    );
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`the probe matrix, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    probeMatrix(kubectl),
  );
