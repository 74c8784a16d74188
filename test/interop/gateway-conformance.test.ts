// Gateway API's conformance suite against Serin in the lab: gateways that it deploys, and sidecars. Counts: docs/conformance.md.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const suite = join(root, ".cache/interop/gateway-conformance/suite");
const [kubectl] = kubectls().slice(-1);
const minute = 60_000;
/** A Service of the suite's: an address that a Gateway can have. */
const backend = "infra-backend-v1";

interface Report {
  readonly profiles: readonly Profile[];
}

interface Profile {
  readonly name: string;
  readonly core: Results;
  readonly extended?: Results;
}

interface Results {
  readonly result: string;
  readonly statistics: { readonly Passed: number; readonly Failed: number; readonly Skipped: number };
  readonly failedTests?: readonly string[];
}

if (!existsSync(suite)) process.stderr.write("no conformance of Gateway API: scripts/fetch-gateway-conformance.sh builds the suite\n");
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
    await ok("for try in $(seq 30); do kubectl get gatewayclass istio -o jsonpath='{.status.conditions[?(@.type==\"Accepted\")].status}' 2>/dev/null | grep -q True && exit 0; sleep 1; done; exit 1");
  });
  after(async () => await lab.delete());

  /** Runs profiles of the suite, with flags of its own; answers its report. */
  async function run(profiles: readonly string[], flags: string): Promise<Report> {
    const about = "-organization=serin -project=serin -url=https://serin.dev -version=dev -contact=serin";
    const line = `${suite} -test.v -test.timeout=60m -test.run='TestConformance$' -gateway-class=istio -conformance-profiles=${profiles.join(",")} -report-output=report.yaml ${about} ${flags} > suite.log 2>&1`;
    const { output } = await lab.shell(line, { timeoutMs: 60 * minute });
    const file = join(lab.directory, "report.yaml");
    assert.ok(existsSync(file), `the suite ended without a report: ${output}\n${readFileSync(join(lab.directory, "suite.log"), "utf8").slice(-2000)}`);
    return parse(readFileSync(file, "utf8")) as Report;
  }

  function tell({ profiles }: Report): void {
    for (const { name, core, extended } of profiles) {
      for (const [kind, results] of [["core", core], ["extended", extended]] as const) {
        if (results === undefined) continue;
        const { Passed, Failed, Skipped } = results.statistics;
        process.stderr.write(`${name} ${kind}: ${Passed} passed, ${Failed} failed, ${Skipped} skipped${results.failedTests === undefined ? "" : `: ${results.failedTests.join(", ")}`}\n`);
      }
    }
  }

  test("every core test of gateways passes", async () => {
    const report = await run(["GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP"], `-usable-address=${backend}.gateway-conformance-infra.svc.cluster.local -unusable-address=nowhere`);
    tell(report);
    assert.deepEqual(report.profiles.map(({ name, core }) => [name, core.failedTests ?? []]), report.profiles.map(({ name }) => [name, []]));
  });

  test("every core test of the mesh passes with sidecars", async () => {
    const report = await run(["MESH-HTTP", "MESH-GRPC"], "-namespace-labels=istio-injection=enabled");
    tell(report);
    assert.deepEqual(report.profiles.map(({ name, core }) => [name, core.failedTests ?? []]), report.profiles.map(({ name }) => [name, []]));
  });
}
