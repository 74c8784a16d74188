// Runs the probe matrix inside a lab without an upgrade: creates the probes, waits until they have settled, counts and
// judges. `node probe-look.ts REVISION,… DATAPLANE,…` prints one line of JSON: the result of `judgeMatrix`, and the
// number of clients that have answered that they do not rest. `--leaving NAME` does not wait for that client to settle.
import { createLogger, systemClock } from "../../src/base/index.ts";
import { checkDefaults, probeDataPlanes } from "../../src/api/serin/index.ts";
import { createKubeClient, loadKubeConfig } from "../../src/kube/index.ts";
import { ObjectAccess } from "../../src/rollout/act/object-access.ts";
import { performWrite } from "../../src/rollout/act/perform-write.ts";
import { judgeMatrix } from "../../src/rollout/decide/probe-matrix.ts";
import { ClusterView } from "../../src/rollout/observe/cluster-view.ts";
import { EventAges } from "../../src/rollout/observe/event-ages.ts";
import { httpGet } from "../../src/rollout/observe/http-get.ts";
import { ProbeObserver } from "../../src/rollout/observe/probes/probes.ts";
import { observeSettle } from "../../src/rollout/observe/settle/settle.ts";
import { probeObjects, probeSettle, referenceTo } from "../../src/rollout/plan/index.ts";

const [revisions = "", planes = "", ...flags] = process.argv.slice(2);
const scope = {
  revisions: revisions.split(","),
  dataPlanes: probeDataPlanes.filter((plane) => planes.split(",").includes(plane)),
};
const leaving = flags[flags.indexOf("--leaving") + 1] ?? "";
const limitMs = 150_000;
const clock = systemClock;
const log = createLogger({ scope: "probes", level: "error" });
const client = createKubeClient(await loadKubeConfig(process.env), { log, clock });
const objects = new ObjectAccess(client);
const view = new ClusterView(client, { log, clock });
const stop = new AbortController();
const watching = view.run(stop.signal);
await view.synced;

const startedMs = clock.steadyMs();
const ages = new EventAges(clock);
const ageMs = (key: string, atMs: number): number => ages.ageMs(key, atMs, clock.steadyMs() - startedMs);
const notice = (key: string): void => ages.notice(key);

async function settled(): Promise<string> {
  const conditions = probeSettle(scope).filter(
    (condition) => leaving === "" || !("object" in condition) || condition.object.name !== leaving,
  );
  const states = await Promise.all(
    conditions.map((condition) =>
      observeSettle({ client, objects, view, clock, ageMs, notice, concerned: [] }, condition),
    ),
  );
  const open = states.find(({ state }) => state !== "met");
  if (open?.state === "failed") throw new Error(open.detail);
  return open?.state === "waiting" ? open.detail : "";
}

for (const body of probeObjects({ ...scope, image: "docker.io/istio/serin:1.31.0" })) {
  const object = referenceTo(body);
  if ((await objects.get(object)) === undefined)
    await performWrite(objects, { type: "create", body, object }, undefined);
}

const late = (): boolean => clock.steadyMs() - startedMs > limitMs;
for (let open = await settled(); open !== ""; open = await settled()) {
  if (late()) throw new Error(`not settled: ${open}`);
  await clock.sleep(500);
}

const awake = new Set<string>();
const get: typeof httpGet = async (address, port, path) => {
  const text = await httpGet(address, port, path);
  awake.add(address);
  return text;
};
const probes = new ProbeObserver({ client, view, clock, get });
let statistic: unknown;
for (;;) {
  const observation = await probes.observe(scope, true);
  if (observation.type === "matrix") {
    const { statistic: next, ...judged } = judgeMatrix(
      observation.facts,
      { ...checkDefaults, type: "mtls-probe-matrix" },
      statistic,
    );
    statistic = next;
    if (judged.verdict === "pass" || judged.verdict === "fail" || late()) {
      process.stdout.write(`${JSON.stringify({ ...judged, awake: awake.size })}\n`);
      break;
    }
  } else if (late()) throw new Error(JSON.stringify(observation));
  await clock.sleep(400);
}
stop.abort();
await watching;
