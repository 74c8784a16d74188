import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { describeError, SerinError, silentLogger, systemClock, transientError, userError } from "../../base/index.ts";
import { createKubeClient } from "../../kube/index.ts";
import { CommandEnd } from "../command-end.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const root = join(import.meta.dirname, "../../..");
const bookinfo = [
  "platform/kube/bookinfo.yaml",
  "networking/bookinfo-gateway.yaml",
  "networking/destination-rule-reviews.yaml",
].map((file) => join(root, "samples/bookinfo", file));
const faulty = join(import.meta.dirname, "../testing/bookinfo-faults.yaml");

class FileContext extends FakeContext {
  exitCode = 0;
  override readonly readFile = async (path: string): Promise<string> => await readFile(path, "utf8");
}

/** Runs the command. In its output, paths of this project are relative to the project. */
async function run(words: readonly string[], cluster?: FakeCluster): Promise<FileContext> {
  const context = new FileContext(cluster);
  try {
    await createProgram(context).parseAsync(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommandEnd)) throw error;
    context.exitCode = error.exitCode;
  }
  context.output = context.output.replaceAll(`${root}/`, "");
  context.errors = context.errors.replaceAll(`${root}/`, "");
  return context;
}

async function refusal(words: readonly string[], cluster?: FakeCluster): Promise<string> {
  try {
    await run(words, cluster);
  } catch (error) {
    assert.ok(error instanceof SerinError, String(error));
    return describeError(error);
  }
  throw new Error("it was taken");
}

test("every inserted fault in bookinfo is reported with its line", async () => {
  const { output, errors, exitCode } = await run(["analyze", "--use-kube=false", ...bookinfo, faulty]);
  assert.equal(output, await readFile(join(import.meta.dirname, "../testing/bookinfo-faults.txt"), "utf8"));
  assert.match(errors, /^Error: Analyzers found issues when analyzing namespace: default\.\n/);
  assert.equal(exitCode, 79);
});

test("valid files produce one line", async () => {
  const { output, errors, exitCode } = await run(["analyze", "--use-kube=false", ...bookinfo]);
  assert.deepEqual([output, exitCode], ["", 0]);
  assert.equal(
    errors,
    "✔ No validation issues found when analyzing:\n  - samples/bookinfo/platform/kube/bookinfo.yaml\n  - samples/bookinfo/networking/bookinfo-gateway.yaml\n  - samples/bookinfo/networking/destination-rule-reviews.yaml\n",
  );
});

test("a file after --remote-contexts is analysed, and the command says that it reads one cluster", async () => {
  const { output, errors } = await run(["analyze", "--use-kube=false", "-A", "--remote-contexts", "other", faulty]);
  assert.match(output, /IST\d{4}/);
  assert.match(errors, /^! --remote-contexts has no effect; .+ once for each --context\nError: /);
  assert.match(errors, /^Error: Analyzers found issues when analyzing all namespaces\.$/m);
});

test("a pipe that a shell names is read, and other files without the name of a YAML file are skipped", async () => {
  const directory = await mkdtemp(join(tmpdir(), "analyze-"));
  const [pipe, other] = [join(directory, "63"), join(directory, "notes")];
  execFileSync("mkfifo", [pipe]);
  await writeFile(other, "no YAML: [");
  const [{ output, errors }] = await Promise.all([
    run(["analyze", "--use-kube=false", other, pipe]),
    writeFile(pipe, await readFile(faulty, "utf8")),
  ]);
  await rm(directory, { recursive: true });
  assert.match(output, /SER0104/);
  assert.match(errors, /^Skipping file .+notes, recognized file extensions are: \[\.json \.yaml \.yml\]\nError: /);
});

test("thresholds and suppressions choose the shown and the failing messages, and JSON output agrees", async () => {
  const shown = await run(["analyze", "-k=false", "--output-threshold", "error", "--failure-threshold=Info", faulty]);
  assert.ok(
    shown.output.split("\n").every((line) => line === "" || line.startsWith("Error [")),
    shown.output,
  );
  const weights = ["analyze", "--use-kube=false", "--analyzer", "virtualservice.WeightAnalyzer", faulty];
  const plain = await run([...weights, "-o", "json"]);
  assert.deepEqual(JSON.parse(plain.output), [
    {
      code: "SER0104",
      documentationUrl: "",
      level: "Warning",
      message:
        "weights 90 and 20 sum up to 110, not 100, so the shares are reviews v1 81.8 % and reviews v3 18.2 %; write weights that sum up to 100 if you mean other shares",
      origin: "VirtualService default/reviews",
      reference: "src/cli/testing/bookinfo-faults.yaml:18",
    },
  ]);
  assert.equal(plain.exitCode, 0);
  assert.match((await run([...weights, "-o", "yaml"])).output, /^- code: SER0104\n/);
  assert.equal((await run([...weights, "--failure-threshold", "Warning"])).exitCode, 79);
  for (const resource of [
    "VirtualService reviews.default",
    "VirtualService *.default",
    "VirtualService default/reviews",
  ]) {
    assert.equal((await run([...weights, "-S", `SER0104=${resource}`])).output, "", resource);
  }
  const unknown = await run([...weights, "-S", "IST9999=Pod x"]);
  assert.match(unknown.errors, /^Warning: IST9999 is not a message code, so nothing is suppressed by "IST9999=Pod x"/);
});

test("an invalid document is reported with its line and column, and the others are analysed", async () => {
  const context = new FakeContext({
    files: {
      "-": "kind: Service\nmetadata:\n  name: x\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n---\na: [1\n",
    },
  });
  await assert.rejects(createProgram(context).parseAsync(["analyze", "--use-kube=false", "-"], { from: "user" }), {
    exitCode: 65,
  });
  assert.equal(
    context.errors,
    'Error(s) adding files: errors parsing content "-": -:1:1: apiVersion is required: each document must be a Kubernetes object\nError(s) adding files: errors parsing content "-": -:11:1: Flow sequence in block collection must be sufficiently indented and end with a ]\nError: Some files couldn\'t be parsed.\n',
  );
  assert.match(context.output, /^Info \[IST0102] \(Namespace shop -:8\)/);
  const ignored = new FakeContext({ files: { "-": "a: 1\n" } });
  await createProgram(ignored).parseAsync(["analyze", "--use-kube=false", "--ignore-unknown", "-"], { from: "user" });
  assert.match(
    ignored.errors,
    /No validation issues found when analyzing namespace: default \(but 1 file could not be parsed\)/,
  );
});

const object = (
  apiVersion: string,
  kind: string,
  name: string,
  rest: object = {},
  labels: Record<string, string> = {},
): KubernetesObject => ({
  apiVersion,
  kind,
  metadata: {
    name,
    labels,
    ...(kind === "Namespace" || kind.endsWith("Configuration") ? {} : { namespace: "default" }),
  },
  ...rest,
});
const cluster: FakeCluster = {
  objects: {
    Namespace: [
      object("v1", "Namespace", "default", {}, { "istio-injection": "enabled" }),
      object("v1", "Namespace", "other"),
    ],
    Service: [
      object("v1", "Service", "reviews", {
        spec: { selector: { app: "reviews" }, ports: [{ name: "http", port: 9080 }] },
      }),
    ],
    Pod: [
      object("v1", "Pod", "reviews-1", { spec: { containers: [{ name: "app" }] } }, { app: "reviews", version: "v1" }),
    ],
    MutatingWebhookConfiguration: [
      object(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "istio-sidecar-injector",
        { webhooks: [] },
        { "istio.io/rev": "default" },
      ),
    ],
  },
};

test("an analysis without the cluster, and without a readable file, claims no result", async () => {
  const { errors, exitCode } = await run(["analyze", "--use-kube=false", "README.md"]);
  assert.equal(
    errors,
    "Skipping file README.md, recognized file extensions are: [.json .yaml .yml]\nNo file was analyzed.\n",
  );
  assert.equal(exitCode, 0);
});

test("the context's namespace of a cluster is analysed, -n chooses another one, and -A all", async () => {
  const own = await run(["analyze"], cluster);
  assert.match(
    own.output,
    /^Warning \[IST0103] \(Pod default\/reviews-1\) has no sidecar although its namespace has istio-injection=enabled: [^\n]+\n$/,
  );
  assert.equal(own.exitCode, 0);
  assert.match(
    (await run(["analyze", "-n", "other"], cluster)).output,
    /^Info \[IST0102] \(Namespace other\) [^\n]+\n$/,
  );
  assert.equal((await run(["analyze", "-A"], cluster)).output.split("\n").length, 3);
  const fine = await run(["analyze", "-S", "IST0103=Pod *.default"], cluster);
  assert.equal(fine.errors, "✔ No validation issues found when analyzing namespace: default.\n");
});

test("files replace the cluster's objects, and are analysed together with the others", async () => {
  const { output } = await run(
    ["analyze", "--analyzer", "destinationrule.SubsetSelectPodAnalyzer", bookinfo[2] ?? ""],
    cluster,
  );
  assert.equal(
    output,
    `Error [IST0173] (DestinationRule default/reviews samples/bookinfo/networking/destination-rule-reviews.yaml:16) subset "v2" selects version=v2, which matches no pod, so requests to it get 503; the pods of reviews have version=v1; correct the labels, or deploy such pods
Error [IST0173] (DestinationRule default/reviews samples/bookinfo/networking/destination-rule-reviews.yaml:19) subset "v3" selects version=v3, which matches no pod, so requests to it get 503; the pods of reviews have version=v1; correct the labels, or deploy such pods
`,
  );
});

test("unreadable kinds are reported, and their absence causes no messages", async () => {
  const context = await run(["analyze", bookinfo[1] ?? "", bookinfo[2] ?? ""], {
    ...cluster,
    refusals: {
      Service: userError(
        "forbidden",
        'list of services: services is forbidden: User "me" cannot list resource "services"',
      ),
      VirtualService: userError("not-found", "list of virtualservices: there is none"),
    },
  });
  assert.equal(context.exitCode, 79);
  assert.match(
    context.errors,
    /^! list of services: services is forbidden: User "me" cannot list resource "services"; analyze leaves out the checks that need them\n/,
  );
  assert.ok(!/IST0174/.test(context.output), context.output);
  assert.match(
    context.output,
    /Error \[SER0107] \(VirtualService default\/bookinfo [^)]+:\d+\) the cluster has no definition of kind VirtualService \(networking\.istio\.io\), so this object cannot be applied; install the definitions first: serin install/,
  );
});

test("a kind that the server fails to list is named, the others are analysed, and the command ends with 1", async () => {
  const fault = "list of virtualservices in all namespaces: conversion webhook for networking.istio.io/v1 failed";
  const partial = { ...cluster, refusals: { VirtualService: transientError("api-server", fault) } };
  const { output, errors, exitCode } = await run(["analyze"], partial);
  assert.match(output, /^Warning \[IST0103] \(Pod default\/reviews-1\)[^\n]+\n$/);
  assert.equal(
    errors,
    `! ${fault}; analyze leaves out the checks that need them\nError: The analysis is incomplete, because the cluster did not list networking.istio.io/VirtualService.\n`,
  );
  assert.equal(exitCode, 1);
  assert.equal((await run(["analyze", "-o", "json"], partial)).exitCode, 1);
  assert.equal((await run(["analyze", "--failure-threshold", "Warning"], partial)).exitCode, 79);
  const fine = await run(["analyze", "-S", "IST0103=Pod *.default"], partial);
  assert.match(
    fine.errors,
    /^No validation issues found when analyzing namespace: default \(but 1 kind could not be read\)\.$/m,
  );
  const unknownUser = { ...cluster, refusals: { VirtualService: userError("unauthorized", "Unauthorized") } };
  assert.match(await refusal(["analyze"], unknownUser), /^Unauthorized/);
});

test("a cluster that lists no kind at all is an error, not an analysis without findings", async () => {
  const names = ["Namespace", "Service", "Pod", "MutatingWebhookConfiguration"];
  const denied = userError("forbidden", 'list of namespaces: namespaces is forbidden: User "me" cannot list');
  const refusals = Object.fromEntries(names.map((name) => [name, denied]));
  assert.match(await refusal(["analyze"], { ...cluster, refusals }), /^list of namespaces: namespaces is forbidden/);
});

test("invalid arguments are rejected, and the error names them", async () => {
  assert.equal(
    await refusal(["analyze", "--use-kube=false"]),
    "there is nothing to analyse: neither files nor the cluster\n  hint: pass files, or leave out --use-kube=false to analyse the cluster",
  );
  assert.equal(
    await refusal(["analyze", "--use-kube=false", "nowhere.yaml"]),
    "cannot read nowhere.yaml: there is no such file or directory",
  );
  assert.equal(
    await refusal(["analyze", "--output-threshold", "bad", "x"]),
    '--output-threshold: a level must be one of Error, Warning, Info, got "bad"',
  );
  assert.equal(
    await refusal(["analyze", "-o", "xml", "x"]),
    '--output: an output format must be one of log, json, yaml, got "xml"',
  );
  assert.equal(
    await refusal(["analyze", "--timeout", "soon", "x"]),
    '--timeout: a time must look like 90, 300s or 1m30s, got "soon"',
  );
  assert.equal(
    await refusal(["analyze", "-S", "IST0102", "x"]),
    '--suppress must be CODE=Kind name.namespace, got "IST0102"\n  hint: such as -S "IST0102=Namespace default"',
  );
  assert.equal(
    await refusal(["analyze", "--analyzer", "injection.Analyser"]),
    'there is no analyzer "injection.Analyser"; did you mean injection.Analyzer?\n  hint: serin analyze -L lists them',
  );
  assert.equal(
    await refusal(["analyze", "--revision", "canary"], cluster),
    'there is no revision or tag "canary" in the cluster\n  hint: installed: default',
  );
  assert.equal(
    await refusal(["analyze", "-n", "gone"], cluster),
    'namespace "gone" not found\n  hint: kubectl get namespaces lists the namespaces; -A analyses all of them',
  );
});

test("a mistyped flag, and a cluster that does not answer, are reported with a remedy", async () => {
  const context = new FakeContext({});
  await assert.rejects(createProgram(context).parseAsync(["analyze", "--outptu-threshold", "Error"], { from: "user" }));
  assert.equal(
    context.errors,
    "serin: unknown option '--outptu-threshold'; did you mean --output-threshold?\n  hint: serin analyze --help shows its arguments, flags and examples\n",
  );
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, "close");
  const config = { server: `https://127.0.0.1:${port}`, context: "lab", namespace: "default" };
  const lost = Object.assign(new FakeContext({}), {
    connect: async () => createKubeClient(config, { log: silentLogger, clock: systemClock }),
  });
  await assert.rejects(createProgram(lost).parseAsync(["analyze"], { from: "user" }), (error) => {
    assert.equal(
      describeError(error),
      `cannot reach the API server at https://127.0.0.1:${port}\n  caused by: connect ECONNREFUSED 127.0.0.1:${port}\n  hint: check that the API server of the context "lab" runs`,
    );
    return true;
  });
  assert.equal(lost.output, "");
});

test("analyzers and messages can be listed", async () => {
  assert.match(
    (await run(["analyze", "-L"])).output,
    /^\* ambient\.WaypointAnalyzer:\n {4}waypoints that labels name exist\n/,
  );
  assert.match(
    (await run(["analyze", "--list-messages"])).output,
    /^IST0101 Error {3}ReferencedResourceNotFound: The object refers to something that does not exist\.$/m,
  );
});
