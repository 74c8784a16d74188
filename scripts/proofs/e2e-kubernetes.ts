// Runs the mesh on a real Kubernetes: two nodes with kubelet, containerd and runc, in namespaces of the run, and one
// case after another.
//   npm run e2e:kubernetes [-- --json] [-- --only CASE,CASE] [-- --images DIR] [-- --from DIR] [-- --keep] [-- --kubernetes 1.36.3]
import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describeError } from "../../src/base/index.ts";
import { chosenCases, type Bench, type Case, type CaseResult } from "../../test/kubernetes/bench.ts";
import { allCases } from "../../test/kubernetes/cases/index.ts";
import { ownSerin, releaseOf, versionAfterOwn } from "../../test/kubernetes/releases.ts";
import { ConstantLoad } from "../../test/kubernetes/constant-load.ts";
import { enteringCommand, runIsolated, surroundings, type Surroundings } from "../../test/kubernetes/isolation.ts";
import { RealCluster, root } from "../../test/kubernetes/real-cluster.ts";
import { latencyBoundsMs } from "../../samples/load-generator/load-plan.ts";
import { nodeName, nodeNumbers } from "../../test/kubernetes/cluster-layout.ts";
import { scriptArguments } from "../arguments/script-arguments.ts";
import { caseRequests, type CaseRequests } from "./case-requests.ts";
import { ContainerCrashes } from "./container-crashes.ts";
import { difference, LoadReports, type LoadTotals } from "./upgrade-proof/load-totals.ts";

const help = `npm run e2e:kubernetes [-- options]
  --only CASES           the cases to run, separated by commas, and the cases that they need (default: all)
  --kubernetes VERSION   a version that scripts/fetch/kubernetes.sh has built (default: 1.36.3)
  --images DIR           the images to install, a layout of npm run image (default: build them)
  --next-images DIR      the images of the release to upgrade to (default: build them as version ${versionAfterOwn})
  --from DIR             install the release in DIR, which scripts/build-first-release.ts has built, and upgrade it to
                         the images of --images
  --keep                 keep the cluster until you end the run
  --logs DIR             copy the logs of all programs, the times of the commands and the reports of the load into DIR
                         at the end
  --json                 print one JSON object as the last line
cases:
${allCases.map(({ name, title }) => `  ${name.padEnd(20)} ${title}`).join("\n")}
`;

const builtImages = join(root, ".cache/kubernetes/images");
const builtNextImages = join(root, ".cache/kubernetes/next-images");

const { values: flags } = scriptArguments(
  { command: "npm run e2e:kubernetes --", help },
  {
    only: { type: "string", default: "" },
    kubernetes: { type: "string", default: "1.36.3" },
    images: { type: "string" },
    "next-images": { type: "string" },
    from: { type: "string" },
    keep: { type: "boolean", default: false },
    logs: { type: "string" },
    json: { type: "boolean", default: false },
  },
);

function note(text: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 23)}  ${text}\n`);
}

async function main(inside: Surroundings): Promise<number> {
  const begun = performance.now();
  const cases = chosenCases(
    allCases,
    flags.only.split(",").filter((name) => name !== ""),
  );
  const cluster = new RealCluster({ surroundings: inside, version: flags.kubernetes, note });
  const reports = new LoadReports([cluster.files.reports]);
  const bench: Bench = {
    cluster,
    reports,
    load: new ConstantLoad(cluster, reports),
    excuses: [],
    ...(await releases()),
    note,
  };
  const crashes = new ContainerCrashes(
    nodeNumbers.map((number) => join(cluster.files.logs, `${nodeName(number)}-kubelet.log`)),
  );
  const results: CaseResult[] = [];
  const counted = { until: reports.totals };
  try {
    await cluster.create();
    note(`two nodes of Kubernetes ${flags.kubernetes} are ready after ${secondsSince(begun)} s`);
    for (const one of cases) {
      const result = withoutCrashes(await runCase(bench, one, results, counted), crashes.next());
      results.push(result);
      note(`${result.ok ? "ok    " : "FAILED"}  ${one.name} (${result.seconds} s): ${result.saw}`);
    }
  } catch (error) {
    const none = { requests: 0, requestsFailed: 0, requestsExcused: 0 };
    results.push({ name: "cluster", ok: false, seconds: secondsSince(begun), saw: "", ...none });
    note(`The cluster is not ready: ${describeError(error)}`);
  }
  await bench.load.stop();
  if (flags.keep) await leaveToUser(inside, cluster);
  cluster.close();
  keepLogs(cluster);
  return summarise(bench, results, secondsSince(begun));
}

async function releases(): Promise<Pick<Bench, "release" | "next">> {
  const own = await releaseOf(flags.images ?? builtImages, ownSerin);
  if (flags.from === undefined)
    return { release: own, next: await releaseOf(flags["next-images"] ?? builtNextImages, ownSerin) };
  return { release: await releaseOf(join(flags.from, "images"), join(flags.from, "serin/bin/serin")), next: own };
}

/** Builds the images. This happens outside the namespaces, because the build needs the machine's network. */
function buildImages(): void {
  if (flags.images === undefined) build(builtImages, []);
  if (flags.from === undefined && flags["next-images"] === undefined)
    build(builtNextImages, ["--version", versionAfterOwn]);
}

function build(output: string, more: readonly string[]): void {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const script = join(root, "scripts/build-image.ts");
  const { status } = spawnSync(process.execPath, [script, "--arch", architecture, "--output", output, ...more], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error("the images could not be built: see above");
}

function secondsSince(begun: number): number {
  return Math.round((performance.now() - begun) / 100) / 10;
}

/**
 * Runs a case, and counts the constant load's requests since the previous case ended. The case fails if a request
 * failed and no fault of the case explains that.
 */
async function runCase(
  bench: Bench,
  one: Case,
  results: readonly CaseResult[],
  counted: { until: LoadTotals },
): Promise<CaseResult> {
  const { reports, note } = bench;
  const begun = performance.now();
  bench.excuses.splice(0);
  const end = (ok: boolean, saw: string): CaseResult => {
    const seconds = secondsSince(begun);
    const totals = reports.totals;
    const counts = difference(totals, counted.until);
    counted.until = totals;
    // Compare the failures for each case and not for the whole run, because the excuses of a case explain only the
    // failures in it.
    const found = caseRequests(counts.failed, reports.failures.splice(0), bench.excuses);
    const text = counts.requests === 0 ? saw : `${saw}; ${requestsText(counts, found)}`;
    const figures = { requests: counts.requests, requestsFailed: found.failed, requestsExcused: found.excused };
    return { name: one.name, ok: ok && found.failed === 0, seconds, saw: text, ...figures };
  };
  const missing = (one.after ?? []).filter((name) => !results.some((result) => result.name === name && result.ok));
  if (missing.length > 0) return end(false, `not run: ${missing.join(", ")} failed`);
  note(`${one.name}: ${one.title}`);
  try {
    return end(true, await one.run(bench));
  } catch (error) {
    return end(false, describeError(error));
  }
}

/** Returns the result, or a failure if a container has crashed during the case. */
function withoutCrashes(result: CaseResult, crashed: readonly string[]): CaseResult {
  if (crashed.length === 0) return result;
  return { ...result, ok: false, saw: `containers crashed: ${crashed.join(", ")}; ${result.saw}` };
}

function requestsText({ requests, slow }: LoadTotals, { failed, excused, unexcused }: CaseRequests): string {
  const excusedText = excused === 0 ? "" : `, besides ${excused} that the case's own fault explains`;
  const slowText = slow === 0 ? "" : `, ${slow} took more than ${(latencyBoundsMs.at(-1) ?? 0) / 1_000} s`;
  const details = unexcused.slice(-5).map(({ at, target, cause }) => `\n${at} ${target}: ${cause}`);
  return `${requests} requests, ${failed} failed${excusedText}${slowText}${details.join("")}`;
}

async function leaveToUser(inside: Surroundings, cluster: RealCluster): Promise<void> {
  note(
    `The cluster stays until this run is ended. A shell at the client's place: ${enteringCommand(inside)} env KUBECONFIG=${cluster.kubeconfig} PATH=${cluster.programs}:${join(root, "bin")}:$PATH bash`,
  );
  await new Promise((resolve) => setTimeout(resolve, 3_600_000));
}

function keepLogs(cluster: RealCluster): void {
  if (flags.logs === undefined) return;
  rmSync(flags.logs, { recursive: true, force: true });
  cpSync(cluster.files.logs, flags.logs, { recursive: true });
  cpSync(cluster.files.reports, join(flags.logs, "reports"), { recursive: true });
  for (const number of [1, 2] as const)
    cpSync(join(cluster.files.scratch, `n${number}/log/pods`), join(flags.logs, `n${number}-pods`), {
      recursive: true,
      errorOnExist: false,
    });
}

function summarise(bench: Bench, results: readonly CaseResult[], seconds: number): number {
  const { requests, failed: failedAll } = bench.reports.totals;
  const requestsExcused = results.reduce((sum, result) => sum + result.requestsExcused, 0);
  // Use the total instead of the sum over cases, because the last requests end after the last case.
  const requestsFailed = failedAll - requestsExcused;
  const failed = results.filter(({ ok }) => !ok);
  const ok = failed.length === 0 && requestsFailed === 0;
  for (const { name, saw } of failed) note(`failed: ${name}${saw === "" ? "" : `: ${saw.split("\n")[0]}`}`);
  note(
    `${results.length} cases, ${failed.length} failed; ${requests} requests, ${requestsFailed} failed, ${requestsExcused} more explained by faults of the cases; ${seconds} s`,
  );
  const counts = { requests, requestsFailed, requestsExcused };
  const summary = { ok, nodes: 2, cases: results.length, failed: failed.length, ...counts, seconds };
  if (flags.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return ok ? 0 : 1;
}

const inside = surroundings();
if (inside === undefined) {
  buildImages();
  process.exit(
    await runIsolated([process.execPath, join(root, "scripts/proofs/e2e-kubernetes.ts"), ...process.argv.slice(2)]),
  );
} else process.exit(await main(inside));
