import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { secretPath } from "../../api/serin/index.ts";
import { userError } from "../../base/index.ts";
import type { PodRequest } from "../context.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";
import { ArchiveWriter } from "./archive-writer.ts";

const pod = {
  metadata: { name: "web-1", namespace: "shop" },
  spec: { containers: [{ name: "istio-proxy", image: "proxyv2" }] },
  status: { phase: "Running", containerStatuses: [{ name: "istio-proxy", ready: true, restartCount: 0 }] },
} as KubernetesObject;
const specOf = (object: KubernetesObject): object => (object as { readonly spec?: object }).spec ?? {};
const definitions = {
  items: [
    {
      spec: { group: "networking.istio.io", names: { plural: "gateways" }, versions: [{ name: "v1", storage: true }] },
    },
    { spec: { group: "example.com", names: { plural: "widgets" }, versions: [{ name: "v1", storage: true }] } },
  ],
};
const cluster: FakeCluster = {
  objects: { Pod: [pod] },
  answers: {
    "/version": "{}",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": JSON.stringify(definitions),
    "/apis/networking.istio.io/v1/gateways": "gateways!",
    "/api/v1/namespaces/shop/pods/web-1/log?container=istio-proxy&limitBytes=16777216": "a log line\n",
  },
  pods: { "GET web-1.shop:15000/config_dump": "a dump" },
};

async function report(directory: string, ...flags: string[]): Promise<FakeContext> {
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(["bug-report", "--output-dir", directory, ...flags]);
  return context;
}

test("a report contains objects, logs and states, notes what is missing, and requests no Secrets", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-report-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const { output } = await report(directory);
  assert.match(output, /^✔ \d+ files \(0\.0 MiB\) are in .*bug-report\.tar\.gz; /);
  const read = (...args: string[]): string => execFileSync("tar", [...args], { cwd: directory, encoding: "utf8" });
  const files = read("tzf", "bug-report.tar.gz").trim().split("\n");
  for (const file of [
    "cluster/version.json",
    "mesh/gateways.networking.istio.io.json",
    "proxies/shop/web-1/istio-proxy.log",
    "proxies/shop/web-1/config_dump.json",
    "notes.txt",
  ])
    assert.ok(files.includes(`bug-report/${file}`), file);
  assert.ok(files.every((file) => !/secret|widgets/i.test(file)));
  assert.equal(read("xzOf", "bug-report.tar.gz", "bug-report/proxies/shop/web-1/istio-proxy.log"), "a log line\n");
  assert.match(
    read("xzOf", "bug-report.tar.gz", "bug-report/notes.txt"),
    /^cluster\/nodes\.json: get of \/api\/v1\/nodes: not found$/m,
  );
});

test("a report contains no secret path of the rollout engine's webhooks, by which anybody could sign as any author", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-report-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = secretPath("author", "0123456789abcdef".repeat(4));
  const configuration = { webhooks: [{ clientConfig: { service: { name: "serin-rollout", path } } }] };
  const listed = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
  const context = new FakeContext({
    ...cluster,
    answers: { ...cluster.answers, [listed]: JSON.stringify({ items: [configuration] }) },
  });
  await createProgram(context).parseAsync(["bug-report", "--output-dir", directory]);
  const text = execFileSync("tar", ["xzOf", "bug-report.tar.gz"], { cwd: directory, encoding: "utf8" });
  assert.match(text, /"path":"\/author\/<redacted>"/);
  assert.ok(!text.includes(path));
});

test("without an API server that accepts the user, the command fails and writes no archive", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-report-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const context = new FakeContext({ answers: { "/version": "Unauthorized" }, statuses: { "/version": 401 } });
  await assert.rejects(createProgram(context).parseAsync(["bug-report", "--output-dir", directory], { from: "user" }), {
    kind: "user",
    code: "unauthorized",
  });
  assert.deepEqual(readdirSync(directory), []);
});

test("a user who may list neither definitions nor the pods of the cluster gets a report of the included namespaces", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-report-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const forbidden = userError("forbidden", "pods is forbidden");
  const reportFor = async (...flags: readonly string[]): Promise<{ files: string; notes: string }> => {
    const { "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": _hidden, ...answers } = cluster.answers ?? {};
    const objects = { Pod: [pod], Namespace: [{ metadata: { name: "shop" } }] };
    const context = new FakeContext({
      ...cluster,
      objects,
      answers,
      listRefusal: ({ kind }, namespace) => (kind === "Pod" && namespace !== "shop" ? forbidden : undefined),
    });
    await createProgram(context).parseAsync(["bug-report", "--output-dir", directory, ...flags]);
    const files = execFileSync("tar", ["tzf", "bug-report.tar.gz"], { cwd: directory, encoding: "utf8" });
    return { files, notes: context.errors };
  };
  const own = await reportFor("--include", "shop");
  assert.match(own.files, /proxies\/shop\/web-1\/istio-proxy\.log/);
  assert.match(own.notes, /^! mesh: get of \/apis\/.*customresourcedefinitions: not found$/m);
  assert.match(own.notes, /^! istiod: pods is forbidden/m);
  assert.match((await reportFor()).notes, /^! cluster\/pods: pods is forbidden/m);
});

/** A report of two pods on two nodes, in which some requests hang until their limit has passed. Returns the notes. */
async function reportWithHung(
  t: TestContext,
  hangs: (asked: string) => boolean,
): Promise<{ readonly notes: string; readonly files: string }> {
  const directory = mkdtempSync(join(tmpdir(), "serin-report-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const onNode = (name: string, nodeName: string): KubernetesObject =>
    ({ ...pod, metadata: { name, namespace: "shop" }, spec: { ...specOf(pod), nodeName } }) as KubernetesObject;
  const context = new FakeContext({ ...cluster, objects: { Pod: [onNode("hung-1", "n2"), onNode("web-1", "n1")] } });
  const timers = new Set<() => void>();
  const never = async <Value>(): Promise<Value> => {
    for (const run of timers) setImmediate(run);
    return await new Promise<Value>(() => undefined);
  };
  const { requestOfPod, connect } = context;
  Object.assign(context, {
    clock: {
      ...context.clock,
      after: (_ms: number, run: () => void) => {
        timers.add(run);
        return { [Symbol.dispose]: () => void timers.delete(run) };
      },
    },
    requestOfPod: async (flags: unknown, request: PodRequest) =>
      hangs(`${request.pod} ${request.path}`) ? await never() : await requestOfPod(flags, request),
    connect: async (...args: Parameters<typeof connect>) => {
      const client = await connect(...args);
      const raw = client.raw.bind(client);
      return Object.assign(client, {
        raw: async (...request: Parameters<typeof raw>) => (hangs(request[1]) ? await never() : await raw(...request)),
      });
    },
  });
  await createProgram(context).parseAsync(["bug-report", "--output-dir", directory]);
  const read = (...args: string[]): string => execFileSync("tar", args, { cwd: directory, encoding: "utf8" });
  return {
    notes: read("xzOf", "bug-report.tar.gz", "bug-report/notes.txt"),
    files: read("tzf", "bug-report.tar.gz"),
  };
}

test("a process that does not answer is asked once, and the others of its node are asked", async (t) => {
  const asked: string[] = [];
  const { notes, files } = await reportWithHung(t, (request) => {
    if (request.startsWith("hung-1 ")) asked.push(request);
    return request.startsWith("hung-1 ");
  });
  assert.deepEqual(asked, ["hung-1 /config_dump"]);
  assert.match(notes, /^proxies\/shop\/hung-1\/config_dump\.json: no answer within 20 s$/m);
  assert.match(
    notes,
    /^pod shop\/hung-1 did not answer, so 5 more files were left out: kubectl describe pod -n shop hung-1$/m,
  );
  assert.match(files, /^bug-report\/proxies\/shop\/web-1\/config_dump\.json$/m);
});

test("a kubelet that does not answer is asked once, and the processes behind it not at all", async (t) => {
  const asked: string[] = [];
  const { notes, files } = await reportWithHung(t, (request) => {
    if (request.includes("hung-1")) asked.push(request);
    return request.includes("/pods/hung-1/log");
  });
  assert.equal(asked.length, 1);
  assert.match(notes, /^node n2 did not answer, so 6 more files were left out: kubectl describe node n2$/m);
  assert.match(files, /^bug-report\/proxies\/shop\/web-1\/config_dump\.json$/m);
});

test("a dry run lists what would be collected, restricted by namespace", async () => {
  const { output } = await report("/nowhere", "--dry-run");
  assert.match(output, /^proxies\/shop\/web-1\/config_dump\.json$/m);
  for (const name of ["networkpolicies", "resourcequotas"])
    assert.ok(output.includes(`\ncluster/${name}.json\n`), name);
  assert.doesNotMatch((await report("/nowhere", "--dry-run", "--exclude", "shop")).output, /proxies/);
  assert.doesNotMatch((await report("/nowhere", "--dry-run", "--include", "*//api-*")).output, /proxies/);
  const withoutLogs = (await report("/nowhere", "--dry-run", "--exclude", "shop/////istio-proxy")).output;
  assert.match(withoutLogs, /^proxies\/shop\/web-1\/config_dump\.json$/m);
  assert.doesNotMatch(withoutLogs, /istio-proxy\.log/);
});

test("the flags of istioctl are accepted, and the time limit ends the collection with a note", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-report-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const flags = "--skip-analyze --skip-coredumps --skip-netstat --critical-errs a,b --ignore-errs c --rq-concurrency 4";
  const { output } = await report(directory, ...flags.split(" "), "--dir", "/tmp", "--istio-namespace", "istio-system");
  assert.match(output, /^✔ \d+ files/);
  const ended = await report(directory, "--timeout", "0s");
  assert.match(ended.errors, /^! report\.txt and later files: left out at the time limit; --timeout sets another$/m);
});

test("a start time limits the logs, and is no duration", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-report-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const { errors } = await report(directory, "--start-time", "2026-01-31T10:00:00Z");
  assert.match(errors, /^! proxies\/shop\/web-1\/istio-proxy\.log: .*not found$/m);
  for (const wrong of ["yesterday", "2026-13-31T10:00:00Z"])
    await assert.rejects(report(directory, "--start-time", wrong), /expected a time such as/);
  await assert.rejects(
    report(directory, "--start-time", "2026-01-31T10:00:00Z", "--duration", "5m"),
    /--duration and --start-time exclude each other/,
  );
});

test("long paths keep their names in an archive, which only its owner can read", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-archive-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = `${"folder-of-some-length/".repeat(6)}file.txt`;
  {
    await using archive = new ArchiveWriter(join(directory, "a.tar.gz"), 0);
    await archive.add(path, "content");
  }
  assert.equal(execFileSync("tar", ["tzf", "a.tar.gz"], { cwd: directory, encoding: "utf8" }), `${path}\n`);
  assert.equal(statSync(join(directory, "a.tar.gz")).mode & 0o777, 0o600);
});

test("a new report replaces one that others can read, and a file to which a link of its name points stays", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-archive-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const [path, linked, target] = ["a.tar.gz", "b.tar.gz", "target"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  for (const file of [path, target]) writeFileSync(file, "old", { mode: 0o644 });
  symlinkSync(target, linked);
  const reader = openSync(path, "r");
  t.after(() => closeSync(reader));
  for (const archivePath of [path, linked]) {
    await using archive = new ArchiveWriter(archivePath, 0);
    await archive.add("file.txt", "content");
  }
  for (const file of [path, linked]) assert.equal(lstatSync(file).mode & 0o777, 0o600, file);
  assert.equal(readFileSync(reader, "utf8"), "old", "somebody who opened the old file reads nothing of the new one");
  assert.equal(readFileSync(target, "utf8"), "old");
  assert.deepEqual(readdirSync(directory).toSorted(), ["a.tar.gz", "b.tar.gz", "target"]);
});

test("a report that cannot be written names its file and leaves nothing behind", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-archive-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "a.tar.gz");
  mkdirSync(path);
  const write = async (at: string): Promise<void> => {
    await using archive = new ArchiveWriter(at, 0);
    await archive.add("file.txt", "content");
  };
  await assert.rejects(write(path), { code: "path-not-writable", message: new RegExp(`^cannot write ${path}: `) });
  assert.deepEqual(readdirSync(directory), ["a.tar.gz"]);
  await assert.rejects(write(join(directory, "missing/a.tar.gz")), { code: "path-not-writable" });
});
