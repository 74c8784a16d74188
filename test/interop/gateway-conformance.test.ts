// Runs Gateway API's conformance suite against Serin in the lab: deployed gateways, sidecars, and ambient with a
// waypoint. docs/conformance.md contains the counts.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { kubectls } from "../support/kubectls.ts";
import { supportedFeatures } from "../../src/controlplane/gateways/supported-features.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const suite = join(root, ".cache/interop/gateway-conformance/suite");
const [kubectl] = kubectls().slice(-1);
const minute = 60_000;
/** A Service of the suite, whose address a Gateway can use. */
const backend = "infra-backend-v1";
/** The supported features, without those of Gateways, which another test covers. */
const meshFeatures = supportedFeatures.filter((name) => /^(Mesh|HTTPRoute|GRPC)/.test(name));

interface Outcome {
  readonly name: string;
  readonly core: boolean;
  readonly result: "PASS" | "FAIL" | "SKIP";
}

/** The features that a profile requires. A test that needs others is an extended one. */
const coreFeatures = new Set(["Gateway", "ReferenceGrant", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "Mesh"]);

/** Reads the suite's log. Its report is written before parallel tests end, and counts these as passed. */
function outcomesIn(log: string): readonly Outcome[] {
  const features = new Map(
    [...log.matchAll(/Running (\w+), relying on the following features: (.*)/g)].map(([, name = "", list = ""]) => [
      name,
      list.split(", ").map((feature) => feature.replace(/-\w+$/, "").trim()),
    ]),
  );
  return [...log.matchAll(/^ {4}--- (PASS|FAIL|SKIP): TestConformance\/(\w+) /gm)].map(
    ([, result = "", name = ""]) => ({
      name,
      core: (features.get(name) ?? []).every((feature) => coreFeatures.has(feature)),
      result: result as Outcome["result"],
    }),
  );
}

if (!existsSync(suite))
  process.stderr.write("no conformance of Gateway API: scripts/fetch/gateway-conformance.sh builds the suite\n");
else describe("Gateway API's conformance suite", () => conformance());

function conformance(): void {
  assert.ok(kubectl);
  const guide = new Walkthrough("interop-gateway", kubectl);
  const { lab } = guide;
  const ok = async (line: string): Promise<string> => await guide.ok(line);

  before(async () => {
    const created = await lab.create();
    assert.equal(created.code, 0, created.output);
    copyFileSync(join(import.meta.dirname, "gateway-conformance/images.yaml"), join(lab.stateDirectory, "images.yaml"));
    await ok("serin install --set profile=minimal -y");
    await ok(
      "for try in $(seq 30); do kubectl get gatewayclass istio -o jsonpath='{.status.conditions[?(@.type==\"Accepted\")].status}' 2>/dev/null | grep -q True && exit 0; sleep 1; done; exit 1",
    );
  });
  after(async () => await lab.delete());

  /** Runs profiles of the suite with further flags. Returns the tests that have run. */
  async function run(profiles: readonly string[], flags: string): Promise<readonly Outcome[]> {
    const line = `${suite} -test.v -test.timeout=60m -test.run='TestConformance$' -gateway-class=istio -conformance-profiles=${profiles.join(",")} ${flags} > suite.log 2>&1`;
    await lab.shell(line, { timeoutMs: 60 * minute });
    const log = readFileSync(join(lab.directory, "suite.log"), "utf8");
    const outcomes = outcomesIn(log).filter(({ result }) => result !== "SKIP");
    assert.ok(outcomes.length > 0, `the suite has run no test:\n${log.slice(-2000)}`);
    for (const core of [true, false]) {
      const own = outcomes.filter((outcome) => outcome.core === core);
      const failed = own.filter(({ result }) => result === "FAIL").map(({ name }) => name);
      process.stderr.write(
        `${profiles.join(" ")} ${core ? "core" : "extended"}: ${own.length - failed.length} passed, ${failed.length} failed ${failed.join(", ")}\n`,
      );
    }
    return outcomes;
  }

  const failuresOf = (outcomes: readonly Outcome[]): readonly string[] =>
    outcomes.filter(({ result }) => result === "FAIL").map(({ name }) => name);

  test("gateways pass", async () => {
    // The tests of the mesh use the objects that this run leaves.
    const flags = `-cleanup-base-resources=false -usable-address=${backend}.gateway-conformance-infra.svc.cluster.local -unusable-address=nowhere`;
    assert.deepEqual(failuresOf(await run(["GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP"], flags)), []);
  });

  test("the mesh passes with sidecars", async () => {
    // As in Istio, sidecars tell Services apart by the host of a request.
    const features = meshFeatures.filter((name) => name !== "MeshClusterIPMatching");
    assert.deepEqual(
      failuresOf(
        await run(
          ["MESH-HTTP", "MESH-GRPC"],
          `-namespace-labels=istio-injection=enabled -supported-features=${features.join(",")}`,
        ),
      ),
      [],
    );
  });

  test("the mesh passes in ambient, all of it through one waypoint", async () => {
    await ok("serin install --set profile=ambient -y");
    const listener = { name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } };
    const waypoint = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name: "waypoint", namespace: "waypoints" },
      spec: { gatewayClassName: "istio-waypoint", listeners: [listener] },
    };
    await ok(
      `kubectl create namespace waypoints && kubectl apply -f - <<< '${JSON.stringify(waypoint)}' && kubectl -n waypoints wait gateway/waypoint --for=condition=Programmed --timeout=200s`,
    );
    const labels = {
      "istio.io/dataplane-mode": "ambient",
      "istio.io/use-waypoint": "waypoint",
      "istio.io/use-waypoint-namespace": "waypoints",
    };
    // A waypoint does not apply routes of its clients' namespaces. Istio leaves these tests out too.
    const features = meshFeatures.filter((name) => name !== "MeshConsumerRoute");
    const flags = `-namespace-labels=${Object.entries(labels)
      .map((label) => label.join("="))
      .join(",")} -supported-features=${features.join(",")}`;
    assert.deepEqual(failuresOf(await run(["MESH-HTTP", "MESH-GRPC"], flags)), []);
  });
}
