// Compares what Serin's control plane and Istio's send to the same nodes for the same objects.
//   ISTIOD=<pilot-discovery> test/interop/mesh/in-namespace.sh node test/interop/mesh/istiod-comparison.ts
//     [--only <part>] [--report <file>] [--json]
// The report is JSON: every difference by the configuration that shows it first, and counts by field.
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { messageOf, systemClock } from "../../../src/base/index.ts";
import { startIstiod, type RunningControlPlane } from "./control-planes.ts";
import { readCorpus, type CorpusCase } from "./corpus.ts";
import { dumpNode, proxyVersion } from "./discovery-dump.ts";
import { differences, type Difference } from "./dump-difference.ts";
import { explanationOf } from "./explained-differences.ts";
import { routerNode, sidecarNode, waypointNode, ztunnelNode } from "./nodes.ts";
import { isOfMarker, SettledMarker } from "./settled-marker.ts";
import { applyCase, removeCase, startTestMesh, type TestMesh } from "./test-mesh.ts";

interface CaseReport {
  readonly name: string;
  readonly fault?: string;
  /** Without those that the test mesh shows before any configuration is applied. */
  readonly differences: readonly Difference[];
}

const nodes = [sidecarNode, routerNode, waypointNode, ztunnelNode];
/** How long to wait after the marker: control planes debounce changes, and read some kinds later than others. */
const settleMs = Number(process.env["INTEROP_SETTLE_MS"] ?? 300);
/** After this time, both have read a changed file with the MeshConfig, even on a busy machine. */
const meshConfigMs = 3000;
/**
 * How often a configuration is compared, each time later than the last, before a difference without an explanation
 * counts.
 */
const looks = 4;

async function compare(serin: RunningControlPlane, istiod: RunningControlPlane): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const node of nodes)
    found.push(
      ...differences(node.role, await dumpNode(serin.ports.grpc, node), await dumpNode(istiod.ports.grpc, node)),
    );
  return found.filter(({ resource }) => !isOfMarker(resource));
}

interface Comparison {
  readonly mesh: TestMesh;
  readonly istiod: RunningControlPlane;
  readonly marker: SettledMarker;
  /** The differences that the test mesh shows before any configuration is applied. */
  readonly known: ReadonlySet<string>;
}

async function compareCase({ mesh, istiod, marker, known }: Comparison, one: CorpusCase): Promise<CaseReport> {
  try {
    await applyCase(mesh, one);
    let found: readonly Difference[] = [];
    for (let look = 1; look <= looks; look += 1) {
      await marker.passed();
      await systemClock.sleep(look * (settleMs + (one.meshConfig === undefined ? 0 : meshConfigMs)));
      found = (await compare(mesh.pilot, istiod)).filter((difference) => !known.has(identityOf(difference)));
      if (found.every((difference) => explanationOf(difference, one.name) !== undefined)) break;
    }
    return { name: one.name, differences: found };
  } catch (error) {
    return { name: one.name, fault: messageOf(error), differences: [] };
  } finally {
    await removeCase(mesh, one);
    await marker.passed();
    if (one.meshConfig !== undefined) await systemClock.sleep(meshConfigMs);
  }
}

/** Throws if a control plane has ended, because all further configurations would wait for it in vain. */
function refuseEnded({ child: { exitCode, signalCode } }: RunningControlPlane, configuration: string): void {
  if (exitCode !== null || signalCode !== null)
    throw new Error(
      `pilot-discovery ended with ${exitCode ?? signalCode} during ${configuration}; INTEROP_LOGS=1 shows what it says`,
    );
}

function identityOf({ resource, path, serin, istiod }: Difference): string {
  return `${resource} ${path} ${serin} ${istiod}`;
}

function byField(reports: readonly CaseReport[]): [string, number, Difference][] {
  const fields = new Map<string, [string, number, Difference]>();
  for (const { differences: found } of reports) {
    for (const difference of found) {
      const known = fields.get(difference.field);
      if (known === undefined) fields.set(difference.field, [difference.field, 1, difference]);
      else known[1] += 1;
    }
  }
  return [...fields.values()].toSorted((left, right) => right[1] - left[1]);
}

/** Called after each configuration, so that an interrupted run keeps what it has found. */
function writeReport(file: string | undefined, reports: readonly CaseReport[]): void {
  if (file !== undefined)
    writeFileSync(
      file,
      JSON.stringify(
        { fields: byField(reports).map(([field, count, example]) => ({ field, count, example })), cases: reports },
        undefined,
        1,
      ),
    );
}

async function main(args: readonly string[]): Promise<number> {
  const value = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const program = process.env["ISTIOD"];
  if (program === undefined) throw new Error("ISTIOD names no pilot-discovery; scripts/fetch/istiod.sh builds one");
  const cases = readCorpus(value("--only"));
  const mesh = await startTestMesh();
  const reports: CaseReport[] = [];
  let istiod: RunningControlPlane | undefined;
  let marker: SettledMarker | undefined;
  try {
    istiod = await startIstiod(resolve(program), {
      directory: join(mesh.directory, "istiod"),
      kubeconfig: mesh.kubeconfig,
      meshConfig: mesh.meshConfig,
    });
    marker = await SettledMarker.create(mesh.objects, [mesh.pilot.ports.grpc, istiod.ports.grpc], proxyVersion);
    await marker.passed();
    await systemClock.sleep(meshConfigMs);
    const base = await compare(mesh.pilot, istiod);
    reports.push({ name: "base", differences: base });
    const comparison = { mesh, istiod, marker, known: new Set(base.map(identityOf)) };
    for (const one of cases) {
      const report = await compareCase(comparison, one);
      refuseEnded(istiod, one.name);
      reports.push(report);
      process.stderr.write(`${report.name}: ${report.fault ?? `${report.differences.length} differences`}\n`);
      writeReport(value("--report"), reports);
    }
  } finally {
    marker?.close();
    istiod?.stop();
    mesh.stop();
  }
  const fields = byField(reports);
  const counts = new Map<string, number>();
  const open: CaseReport[] = reports.map((report) => ({
    ...report,
    differences: report.differences.filter((difference) => explanationOf(difference, report.name) === undefined),
  }));
  for (const why of reports.flatMap((report) =>
    report.differences.map((difference) => explanationOf(difference, report.name)),
  )) {
    if (why !== undefined) counts.set(why, (counts.get(why) ?? 0) + 1);
  }
  for (const [why, count] of [...counts].toSorted((left, right) => right[1] - left[1]))
    process.stdout.write(`${String(count).padStart(5)} explained: ${why}\n`);
  for (const [field, count, { resource, path, serin, istiod: theirs }] of byField(open))
    process.stdout.write(
      `${String(count).padStart(5)} ${field}\n      ${resource} ${path}\n      serin  ${serin}\n      istiod ${theirs}\n`,
    );
  for (const { name, fault } of reports) if (fault !== undefined) process.stdout.write(`${name}: ${fault}\n`);
  const summary = {
    configurations: cases.length,
    failed: reports.filter(({ fault }) => fault !== undefined).length,
    fields: fields.length,
    unexplained: open.reduce((sum, report) => sum + report.differences.length, 0),
    differences: reports.reduce((sum, report) => sum + report.differences.length, 0),
    same: reports.filter(({ fault, differences: found }) => fault === undefined && found.length === 0).length,
  };
  if (args.includes("--json")) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.failed === 0 ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
