// Runs a suite's tests once in a new lab, until they end, until one of them hangs, or until the time is over.
import type { ChildProcess } from "node:child_process";
import { appendFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { shellQuoted } from "../../src/base/index.ts";
import { wordsThatEndWithThis } from "../lab/ends-with-this.ts";
import { WorkerCensus } from "../lab/worker-census.ts";
import { kubectlDirectory, kubectls } from "../../test/support/kubectls.ts";
import { LabCluster, root } from "../../test/support/lab-cluster.ts";
import type { CaseRecord } from "./case-record.ts";
import { meshFlags, placeMesh, resultsFolder, type MeshUnderTest } from "./mesh-under-test.ts";
import { formerCharts, serveFormerCharts, sourceWithCharts, upgradesCharts, usesCharts } from "./suite-charts.ts";
import { folderOf, type Suite } from "./suites.ts";
import { TestOutput, type TestEvent } from "./test-output.ts";

export const builds = join(root, ".cache/interop/istio-suite");
/** The number of a test's last lines that stay in memory to explain a failure. */
const keptLines = 30;
const keptCharacters = 3000;
const tickMs = 1000;

export interface AttemptOptions {
  readonly suite: Suite;
  readonly mesh: MeshUnderTest;
  /** The number of workers of each data plane. If absent, each has its default. */
  readonly workers: number | undefined;
  readonly record: CaseRecord;
  /** The patterns of -test.run and -test.skip. */
  readonly run: string;
  readonly skip: string;
  /** How long the tests may make no progress. After this time, the running ones count as hanging. */
  readonly caseDeadlineMs: number;
  /** The same limit for the time before the first test, in which the mesh and its first pods start. */
  readonly setUpDeadlineMs: number;
  /** The time of performance.now() at which the whole run ends. */
  readonly until: number;
  readonly note: (text: string) => void;
}

export type AttemptEnd = "ended" | "hung" | "out-of-time";

export interface Attempt {
  readonly end: AttemptEnd;
  /** The number of verdicts that the attempt added to the record. */
  readonly verdicts: number;
  /** The last lines of output outside tests, which explain why the set-up failed. */
  readonly outside: string;
}

/** Runs the chosen tests once. When it returns, the record holds every verdict. */
export async function attemptSuite(options: AttemptOptions): Promise<Attempt> {
  const [kubectl] = kubectls().slice(-1);
  if (kubectl === undefined)
    throw new Error("there is no kubectl: scripts/fetch/kubectls.sh downloads one to .cache/kubectl");
  process.env["PATH"] = `${kubectlDirectory(kubectl)}:${process.env["PATH"] ?? ""}`;
  const lab = new LabCluster("istio-suite");
  const upstream = join(builds, "source");
  let charts: ChildProcess | undefined;
  try {
    const created = await lab.create();
    if (created.code !== 0) throw new Error(`the lab did not start\n${created.output}`);
    mkdirSync(join(lab.directory, "bin"));
    placeMesh(options.mesh, lab);
    // `scripts/fetch/helm.sh 3` builds this program.
    symlinkSync(join(root, ".cache/helm/helm-3"), join(lab.directory, "bin/helm"));
    const source = usesCharts(options.suite) ? await sourceWithCharts(upstream, lab) : upstream;
    if (upgradesCharts(options.suite)) charts = await serveFormerCharts(lab);
    options.note("the lab is ready");
    const census = options.workers === undefined ? undefined : new WorkerCensus(() => lab.processes()).begin();
    const logFile = join(builds, resultsFolder(options.mesh, options.workers), `${options.suite.name}.log`);
    const attempt = await new Watched(options, logFile).follow(
      lab.spawnInShell(["bash", "-c", commandOf(options, lab.directory, source)]),
    );
    if (options.workers !== undefined)
      for (const [count, planes] of Object.entries(census?.end([options.workers]) ?? {}))
        options.note(`${planes} data planes had ${count} workers`);
    return attempt;
  } finally {
    charts?.kill();
    await lab.delete();
  }
}

function commandOf({ suite, mesh, workers, run, skip }: AttemptOptions, directory: string, source: string): string {
  const words = [
    "-test.v=test2json",
    "-test.timeout=0",
    `-test.run=${run}`,
    ...(skip === "" ? [] : [`-test.skip=${skip}`]),
    "--istio.test.hub=testing",
    "--istio.test.tag=istio-testing",
    "--istio.test.pullpolicy=IfNotPresent",
    "--istio.test.skipVM",
    ...meshFlags(mesh, workers),
    "--istio.test.kube.deployEastWestGW=false",
    `--istio.test.work_dir=${directory}`,
    ...(upgradesCharts(suite) ? [`--istio.test.helmRepo=${formerCharts}`] : []),
    ...(suite.isAmbient === true ? ["--istio.test.ambient"] : []),
  ];
  const quoted = words.map(shellQuoted).join(" ");
  // Istio skips this test when it runs beside others, because charts leave their CRDs to the namespace of the first
  // release.
  const isAlone = /^\W*TestNumericNamespaceInstall\W*$/.test(run);
  return `export ISTIO_TEST_HELM_NUMERIC_NAMESPACE=${isAlone ? "1" : ""} REPO_ROOT='${source}' PATH='${directory}/bin':"$PATH"; cd '${source}/tests/integration/${folderOf(suite)}' && exec ${wordsThatEndWithThis(`'${builds}/${suite.name}.test'`).join(" ")} --istio.test.kube.config="$KUBECONFIG" ${quoted} 2>&1`;
}

class Watched {
  readonly #options: AttemptOptions;
  readonly #logFile: string;
  readonly #output = new TestOutput();
  /** The running tests, with their start times. */
  readonly #running = new Map<string, number>();
  readonly #lines = new Map<string, string[]>();
  #lastChange = performance.now();
  #begun = false;
  #verdicts = 0;

  constructor(options: AttemptOptions, logFile: string) {
    this.#options = options;
    this.#logFile = logFile;
  }

  async follow(child: ChildProcess): Promise<Attempt> {
    mkdirSync(join(this.#logFile, ".."), { recursive: true });
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      appendFileSync(this.#logFile, text);
      for (const event of this.#output.feed(text)) this.#take(event);
    });
    child.stderr?.resume();
    const timer = setInterval(() => {
      if (this.#end() !== "ended") child.kill("SIGKILL");
    }, tickMs);
    await new Promise<void>((resolve) => {
      child.once("close", () => resolve());
      // Do not wait for the end of the output of a killed process, because its children may hold it open.
      child.once("exit", (_code, signal) => {
        if (signal === "SIGKILL") resolve();
      });
    });
    clearInterval(timer);
    const end = child.signalCode === "SIGKILL" ? this.#end() : "ended";
    for (const event of this.#output.end()) this.#take(event);
    if (end !== "out-of-time")
      this.#failRunning(end === "hung" ? "it did not end in time" : "the process ended before it");
    return { end, verdicts: this.#verdicts, outside: this.#whyOf("") };
  }

  /** Returns the reason why the process must be killed now, or "ended" if it may continue. */
  #end(): AttemptEnd {
    const now = performance.now();
    const deadlineMs = this.#begun ? this.#options.caseDeadlineMs : this.#options.setUpDeadlineMs;
    if (now > this.#options.until) return "out-of-time";
    return now - this.#lastChange > deadlineMs ? "hung" : "ended";
  }

  #take(event: TestEvent): void {
    if (event.kind === "line") {
      const lines = this.#lines.get(event.test) ?? [];
      lines.push(event.text);
      if (lines.length > keptLines) lines.shift();
      this.#lines.set(event.test, lines);
      return;
    }
    this.#lastChange = performance.now();
    this.#begun = true;
    if (event.kind === "run") {
      this.#running.set(event.test, this.#lastChange);
      return;
    }
    this.#running.delete(event.test);
    this.#add(event.test, event.verdict, event.seconds, this.#whyOf(event.test));
  }

  /**
   * Records that the running tests failed. Parents that wait for a subtest get no verdict, and run again for their
   * other subtests.
   */
  #failRunning(why: string): void {
    const names = [...this.#running.keys()];
    for (const test of names.filter((name) => !names.some((other) => other.startsWith(`${name}/`)))) {
      const seconds = (performance.now() - (this.#running.get(test) ?? 0)) / 1000;
      this.#add(test, "failed", Math.round(seconds), `${why}\n${this.#whyOf(test)}`);
    }
  }

  #add(test: string, verdict: "passed" | "failed" | "skipped", seconds: number, why: string): void {
    const at = new Date().toISOString();
    this.#options.record.add({ test, verdict, seconds, at, ...(verdict === "passed" ? {} : { why }) });
    this.#verdicts += 1;
    this.#lines.delete(test);
    if (verdict === "failed" || !test.includes("/")) this.#options.note(`${verdict} ${test} (${String(seconds)} s)`);
  }

  #whyOf(test: string): string {
    return (this.#lines.get(test) ?? []).join("\n").slice(-keptCharacters);
  }
}
