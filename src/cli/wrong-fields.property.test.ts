import assert from "node:assert/strict";
import { test } from "node:test";
import { SerinError } from "../base/index.ts";
import { sampled, wrongFields } from "../base/testing/index.ts";
import { createProgram } from "./program.ts";
import { FakeContext } from "./testing/fake-context.ts";

const at = "2026-05-01T00:00:00Z";
const end = (revision: string) => ({ revision, dataPlane: "ambient" });
const status = {
  observedGeneration: 1,
  phase: "Judging",
  phaseSince: at,
  progress: "1/3",
  message: "judging",
  startedAt: at,
  weight: 10,
  run: 2,
  cause: "it failed",
  pauseReason: "approval",
  pausedBy: "peak",
  undo: { startedAt: at, elapsedMs: 1, waitedMs: 1, waitingFor: ["pod web"], next: "RolledBack" },
  ordersBefore: { approval: { step: "step-1", by: "ann", why: "", at } },
  completedSteps: [{ id: "step-1", title: "first", startedAt: at, endedAt: at, evidence: ["fine"] }],
  plannedSteps: [
    { id: "step-1", title: "first", ordinal: 1 },
    { id: "step-2", title: "second" },
    { id: "step-3", title: "third" },
  ],
  step: {
    id: "step-2",
    title: "second",
    startedAt: at,
    settledAt: at,
    waitingFor: ["pod web"],
    waitingSince: at,
    waitsUntil: at,
    checks: [
      { type: "xds-nacks", name: "nacks", verdict: "wait", evidence: "none" },
      {
        type: "mtls-probe-matrix",
        verdict: "fail",
        evidence: "one",
        matrix: {
          pairs: [
            {
              from: end("a"),
              to: end("b"),
              expected: "answer",
              ok: 1,
              failed: 1,
              mutualTls: "yes",
              clientIdentity: "",
              serverIdentity: "",
              p50Ms: 3,
              lastError: "",
              problem: "refused",
            },
          ],
        },
      },
    ],
  },
  conditions: [{ type: "Stuck", status: "True", reason: "a", message: "b", lastTransitionTime: at }],
};
const condition = { type: "Programmed", status: "True", reason: "Programmed", message: "m" };
const objects = {
  Gateway: {
    metadata: { name: "waypoint", namespace: "default" },
    spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
    status: { conditions: [condition], addresses: [{ type: "IPAddress", value: "10.0.0.1" }] },
  },
  Canary: {
    metadata: { name: "web", namespace: "default", generation: 1 },
    spec: {
      target: { deployment: { name: "web", service: "web" } },
      steps: [{ weight: 10 }, { weight: 100 }],
      approvals: [{ step: "step-1", by: "ann", why: "", at }],
      orderedBy: { by: "ann", why: "x", at },
      fullPromotion: { by: "ann", why: "x", at },
      group: "shop",
    },
    status,
  },
  MeshUpgrade: {
    metadata: { name: "up", generation: 1 },
    spec: { from: { revision: "a" }, to: { revision: "b" }, approvals: [{ step: "step-1", by: "ann", why: "", at }] },
    status,
  },
  Freeze: {
    metadata: { name: "peak" },
    spec: {
      reason: "peak",
      windows: [{ start: "2026-12-20T18:00:00", end: "2026-12-21T18:00:00" }],
      kinds: ["Canary"],
      namespaces: ["shop"],
      exceptions: [{ kind: "Canary", namespace: "shop", name: "web", reason: "fix", by: "ann" }],
    },
  },
  Check: {
    metadata: { name: "latency", namespace: "default" },
    spec: { type: "request-duration", quantiles: [0.5], maxMs: 800 },
  },
  RolloutJournal: {
    metadata: { name: "canary.default.web" },
    formatVersion: 1,
    entries: [
      {
        type: "field",
        step: "step-1",
        object: { apiVersion: "v1", kind: "Service", plural: "services", name: "web", namespace: "default" },
        pointer: "/spec/a",
        prior: 1,
        written: 2,
      },
    ],
    decisions: [{ at, run: 1, decision: "Started", step: "step-1", message: "m", by: "ann", evidence: ["fine"] }],
  },
  GatewayClass: { metadata: { name: "own" }, spec: { controllerName: "istio.io/gateway-controller" } },
};
type Kind = keyof typeof objects;

const rolloutVerbs = (noun: string, name: string): string[] =>
  ["status", "status -v", "status --json", "history", "pause", "resume", "retry"].map((verb) => {
    const [word = "", ...flags] = verb.split(" ");
    return [noun, word, name, ...flags].join(" ");
  });
const verbs: Readonly<Record<Kind, readonly string[]>> = {
  Gateway: [
    "waypoint list",
    "waypoint status --no-wait",
    "waypoint delete --all --dry-run",
    "uninstall --revision a -y --dry-run",
    "uninstall --purge -y --dry-run",
  ],
  GatewayClass: ["uninstall --purge -y"],
  Canary: [
    "canary list",
    ...rolloutVerbs("canary", "web"),
    "canary promote web",
    "canary promote web --full",
    "canary abort web",
    "freeze except peak --canary default/web --reason x",
    "uninstall --purge -y --dry-run",
  ],
  MeshUpgrade: [
    "upgrade list",
    ...rolloutVerbs("upgrade", "up"),
    "upgrade approve up",
    "upgrade complete up",
    "upgrade rollback up",
  ],
  Freeze: ["freeze list", "freeze list -o json", "freeze except peak --canary default/web --reason x"],
  Check: ["check explain latency"],
  RolloutJournal: ["canary history web", "canary history web --run 1"],
};
const user = { status: { userInfo: { username: "ann" } } };
const istiod = { app: "istiod", "istio.io/rev": "a" };

/** Runs the line. Throws unless the command does its work, or reports what is wrong with the object. */
async function run(line: string, kind: Kind, object: object): Promise<void> {
  const context = new FakeContext({
    objects: {
      ...Object.fromEntries(
        Object.entries({ ...objects, [kind]: object }).map(([name, one]) => [name, [{ ...one, kind: name }]]),
      ),
      Deployment: [{ metadata: { name: "istiod-a", namespace: "istio-system", labels: istiod } }],
    },
    answers: { "/apis/authentication.k8s.io/v1/selfsubjectreviews": JSON.stringify(user) },
  });
  await createProgram(context)
    .parseAsync(line.split(" "))
    .catch((error: unknown) => {
      if (!(error instanceof SerinError) || error.kind === "internal") throw error;
    });
  assert.doesNotMatch(context.output, /could not be read/);
}

for (const [kind, lines] of Object.entries(verbs) as [Kind, readonly string[]][])
  test(`no field of a wrong type in a stored ${kind} ends a command with an error of ours`, async () => {
    const { metadata, ...rest } = objects[kind] as { readonly metadata: object };
    const changes = [...wrongFields(rest)];
    for (const [index, line] of lines.entries()) {
      await run(line, kind, objects[kind]);
      for (const { title, object } of sampled(changes, 80, index + 1))
        await assert.doesNotReject(run(line, kind, { ...(object as object), metadata }), `${line}: ${title}`);
    }
  });
