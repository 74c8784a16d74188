import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { until } from "../../base/testing/index.ts";
import {
  clusterDirectory,
  hostProcess,
  isHostProcessAlive,
  labNetwork,
  listClusterNames,
  readClusterRecord,
  requireCluster,
  requireRunningCluster,
  stateHome,
  writeClusterRecord,
  type ClusterRecord,
} from "./cluster-record.ts";

const record: ClusterRecord = {
  name: "lab",
  nodes: [],
  apiServer: { address: labNetwork.hostLoopback, port: 6443, portIsFixed: false },
  release: { root: "/opt/serin", version: "1.0.0" },
  createdAt: "2026-01-01T00:00:00Z",
};

function stateOf(t: TestContext): { readonly XDG_STATE_HOME: string } {
  const directory = mkdtempSync(join(tmpdir(), "cluster-record-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return { XDG_STATE_HOME: directory };
}

test("the state of clusters is below XDG_STATE_HOME, or below the home directory if that is unset or empty", () => {
  assert.equal(clusterDirectory({ XDG_STATE_HOME: "/state" }, "lab"), "/state/serin/clusters/lab");
  assert.equal(stateHome({ HOME: "/home/jane" }), "/home/jane/.local/state/serin");
  assert.equal(stateHome({ HOME: "/home/jane", XDG_STATE_HOME: "" }), "/home/jane/.local/state/serin");
});

test("a record is read as it was written, replaces the earlier one, and leaves no other file", (t) => {
  const directory = clusterDirectory(stateOf(t), "lab");
  assert.equal(readClusterRecord(directory), undefined);
  writeClusterRecord(directory, record);
  const changed = { ...record, kubeconfig: { path: "/home/jane/.kube/config", previousContext: "work" } };
  writeClusterRecord(directory, changed);
  assert.deepEqual(readClusterRecord(directory), changed);
  assert.deepEqual(readdirSync(directory), ["cluster.json"]);
});

test("a damaged record is our fault, an unreadable one is the user's, and both name the file and what to do", (t) => {
  const directory = clusterDirectory(stateOf(t), "lab");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "cluster.json"), '{"name": "la');
  assert.throws(() => readClusterRecord(directory), {
    kind: "internal",
    message: `${directory}/cluster.json is damaged`,
    hint: `remove ${directory} and create the cluster again`,
  });
  rmSync(join(directory, "cluster.json"));
  mkdirSync(join(directory, "cluster.json"));
  assert.throws(() => readClusterRecord(directory), {
    kind: "user",
    code: "file-unreadable",
    message: `cannot read ${directory}/cluster.json`,
  });
});

test("the clusters are the directories, in the order of their names", (t) => {
  const env = stateOf(t);
  assert.deepEqual(listClusterNames(env), []);
  for (const name of ["second", "first"]) mkdirSync(clusterDirectory(env, name), { recursive: true });
  writeFileSync(join(stateHome(env), "clusters", "note.txt"), "");
  assert.deepEqual(listClusterNames(env), ["first", "second"]);
});

test("an unknown cluster is refused with the existing ones, or with how to create it", (t) => {
  const env = stateOf(t);
  assert.throws(() => requireCluster(env, "lab"), {
    code: "cluster-not-found",
    hint: "there are no others either; to create it: serin cluster create --name lab",
  });
  writeClusterRecord(clusterDirectory(env, "other"), record);
  assert.throws(() => requireCluster(env, "lab"), { hint: "existing clusters: other" });
  assert.deepEqual(requireCluster(env, "other").record, record);
});

test("a cluster whose launcher has ended is refused with its log, and one whose launcher lives is found", (t) => {
  const env = stateOf(t);
  const directory = clusterDirectory(env, "lab");
  writeClusterRecord(directory, record);
  const hint = new RegExp(`${directory}/launcher\\.log`);
  const isRefused = (error: { readonly code: string; readonly hint: string }): boolean =>
    error.code === "cluster-stopped" && hint.test(error.hint);
  assert.throws(() => requireRunningCluster(env, "lab"), isRefused);
  const launcher = hostProcess(process.pid);
  assert.ok(launcher !== undefined);
  writeClusterRecord(directory, { ...record, launcher });
  assert.equal(requireRunningCluster(env, "lab").directory, directory);
  writeClusterRecord(directory, { ...record, launcher: { ...launcher, startTicks: "1" } });
  assert.throws(() => requireRunningCluster(env, "lab"), isRefused, "another process has the launcher's id");
});

test("a process is identified by its id and its start time, whatever its name is", async (t) => {
  const env = stateOf(t);
  const odd = join(env.XDG_STATE_HOME, "odd ) R 1 (name");
  writeFileSync(odd, "#!/bin/sh\nread line\n", { mode: 0o755 });
  const child = spawn(odd, [], { stdio: ["pipe", "ignore", "ignore"] });
  const known = await until(() => hostProcess(child.pid ?? 0));
  assert.match(known.startTicks, /^\d+$/);
  assert.equal(isHostProcessAlive(known), true);
  assert.equal(isHostProcessAlive({ ...known, startTicks: `${known.startTicks}1` }), false);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
  assert.equal(hostProcess(child.pid ?? 0), undefined);
  assert.equal(isHostProcessAlive(known), false);
  assert.equal(isHostProcessAlive(undefined), false);
});

test("nodes and pods of a lab have addresses of their own, up to the last node", () => {
  const last = labNetwork.maxNodes - 1;
  assert.deepEqual([labNetwork.nodeAddress(0), labNetwork.podCidr(0)], ["172.18.0.2", "10.244.0.0/24"]);
  assert.deepEqual([labNetwork.nodeAddress(last), labNetwork.podCidr(last)], ["172.18.0.33", "10.244.31.0/24"]);
});
