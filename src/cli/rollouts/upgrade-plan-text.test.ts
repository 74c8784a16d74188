import assert from "node:assert/strict";
import { test } from "node:test";
import type { PreflightReport } from "../../preflight/index.ts";
import { planText } from "./upgrade-plan-text.ts";

const side = {
  trustDomain: "cluster.local",
  aliases: [],
  rootFingerprints: ["0123456789abcdef01"],
  source: "ConfigMap",
};
const longMessage = "the roots differ, so no proxy of the old revision trusts a certificate of the new control plane";
const command = "kubectl -n istio-system get secret cacerts -o jsonpath='{.data.root-cert\\.pem}' | base64 -d";
const report = {
  reportVersion: 1,
  upgrade: "to-next",
  from: { revision: "default" },
  to: { revision: "next" },
  verdict: "blocked",
  findings: [{ severity: "blocked", area: "trust", message: longMessage, hint: command }],
  notCompared: [],
  trust: { from: side, to: side, rootsAgree: true, trustDomainsAgree: true },
  workloads: {
    namespaces: [
      {
        namespace: "a-namespace-with-a-long-name",
        mode: "sidecar",
        by: "istio.io/rev=prod (tag -> default)",
        workloads: ["productpage-v1", "reviews-v1", "reviews-v2"].map((name) => ({
          kind: "Deployment",
          name,
          replicas: 1,
        })),
        pods: 3,
      },
    ],
    tags: [],
    stuck: [],
    gateways: [],
    waypoints: [],
    ztunnels: [],
    blockingBudgets: [],
    injection: [],
  },
  estimate: {
    seconds: 60,
    parts: [{ what: "waves", seconds: 60, how: "from the start-up times of the current pods" }],
  },
} as unknown as PreflightReport;

test("a plan fits a terminal, except commands to copy, and a pipe gets every line whole", () => {
  const lines = planText(report, { colour: false, diff: false, columns: 72 }).split("\n");
  assert.ok(lines.includes(`      -> ${command}`), "the command is in one line");
  for (const line of lines) if (!line.includes("-> kubectl")) assert.ok(line.length <= 72, line);
  assert.ok(lines.some((line) => /^ {2}NAMESPACE +MODE +BY +RESTARTS +PODS$/.test(line)));
  const text = planText(report, { colour: false, diff: false });
  assert.match(text, new RegExp(`✘ ${longMessage}$`, "m"));
  assert.match(
    text,
    /a-namespace-with-a-long-name {3}sidecar {3}istio\.io\/rev=prod \(tag -> default\) {3}productpage-v1, /,
  );
});
