// Bad input, missing programs, interruption and kill -9 each end with a clear message or a clean end, and leave nothing
// behind.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LabCluster, serin } from "../support/lab-cluster.ts";
import { processesOf } from "../support/processes.ts";

const lab = new LabCluster("lifecycle");
/** A control-plane node and one worker. More workers would test nothing new. */
const twoNodes = ["--workers", "1"];
const create = [serin, "cluster", "create", "--name", lab.name, ...twoNodes];

/** Asserts that the clusters of this HOME have left no process, and so no namespace, and no mount. */
async function nothingIsLeft(): Promise<void> {
  await eventually("every process of the lab is gone", () => lab.processes().length === 0);
  assert.equal(readFileSync("/proc/self/mountinfo", "utf8").includes(dirname(lab.directory)), false);
}

function noFilesAreLeft(): void {
  const clusters = dirname(lab.stateDirectory);
  assert.deepEqual(existsSync(clusters) ? readdirSync(clusters) : [], []);
}

function pathWithout(missing: string): string {
  const directory = join(lab.directory, `without-${missing}`);
  mkdirSync(directory);
  for (const from of (process.env["PATH"] ?? "").split(":").filter((path) => existsSync(path))) {
    for (const program of readdirSync(from)) {
      const link = join(directory, program);
      if (program !== missing && !existsSync(link)) symlinkSync(join(from, program), link);
    }
  }
  return directory;
}

/** Runs the command as root in new user and mount namespaces, after the preparation. */
function prepared(preparation: string, command: readonly string[]): string[] {
  return ["unshare", "-Urm", "sh", "-c", `set -e; ${preparation}; exec "$@"`, "sh", ...command];
}

async function createAndDelete(): Promise<void> {
  const created = await lab.create(undefined, twoNodes);
  assert.equal(created.code, 0, created.output);
  const deleted = await lab.run([serin, "cluster", "delete", "--name", lab.name]);
  assert.equal(deleted.code, 0, deleted.output);
  await nothingIsLeft();
  noFilesAreLeft();
}

describe("failures around a lab", { concurrency: 1 }, () => {
  after(async () => await lab.delete());

  test("the error of a bad config names the line, the field and the expected value", async () => {
    writeFileSync(
      join(lab.directory, "kind.yaml"),
      "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: master\n",
    );
    const { code, output } = await lab.run([serin, "cluster", "create", "--config", "kind.yaml"]);
    assert.equal(code, 2);
    assert.match(output, /kind\.yaml:5: nodes\[1\]\.role: must be control-plane or worker, got "master"/);
    noFilesAreLeft();
  });

  test("a missing program is named with its package, by create and by doctor", async () => {
    for (const missing of ["unshare", "setpriv"]) {
      const env = { PATH: pathWithout(missing) };
      for (const command of [create, [serin, "doctor"]]) {
        const { code, output } = await lab.run(command, { env });
        assert.notEqual(code, 0, output);
        assert.match(output, new RegExp(`program ${missing}: not in PATH\\s+remedy: install the package util-linux`));
      }
    }
    await nothingIsLeft();
    noFilesAreLeft();
  });

  test("create and doctor give the remedy where user namespaces are forbidden", async () => {
    for (const command of [create, [serin, "doctor"]]) {
      const { code, output } = await lab.run(prepared("echo 0 > /proc/sys/user/max_user_namespaces", command));
      assert.notEqual(code, 0, output);
      assert.match(
        output,
        /user namespaces: .*No space left on device\s+remedy: sudo sysctl -w user\.max_user_namespaces=\d+/,
      );
    }
    await nothingIsLeft();
    noFilesAreLeft();
  });

  test("a state directory and a kubeconfig that cannot be written are named, with the variable that moves them", async () => {
    const sealed = join(lab.directory, "sealed");
    mkdirSync(sealed);
    const command = prepared(`mount -t tmpfs -o ro tmpfs ${sealed}`, create);
    for (const env of [
      { XDG_STATE_HOME: sealed },
      // Test runs set NODE_COMPILE_CACHE, so unset it here.
      { XDG_CACHE_HOME: sealed, NODE_COMPILE_CACHE: "" },
      { KUBECONFIG: join(sealed, "config") },
    ]) {
      const { code, output } = await lab.run(command, { env, timeoutMs: 30_000 });
      assert.equal(code, 2, output);
      assert.match(output, /cannot write .*sealed[\s\S]*set XDG_STATE_HOME .* and XDG_CACHE_HOME .*KUBECONFIG/);
    }
    await nothingIsLeft();
    noFilesAreLeft();
  });

  test("a full disk is refused before anything starts", async () => {
    const state = join(lab.directory, "small");
    mkdirSync(state);
    const { code, output } = await lab.run(prepared(`mount -t tmpfs -o size=20m tmpfs ${state}`, create), {
      env: { XDG_STATE_HOME: state },
    });
    assert.equal(code, 2);
    assert.match(output, /less than \d+ MB are free at .*small[\s\S]*make room, or set XDG_STATE_HOME/);
    await nothingIsLeft();
  });

  test("a disk that fills up later makes writes fail with its name, loses no acknowledged write, and recovers", async () => {
    const state = join(lab.directory, "filling");
    mkdirSync(state);
    const script = `
      ${create.join(" ")} || exit 90
      kubectl create configmap before || exit 91
      dd if=/dev/zero of=${state}/ballast bs=1M 2>/dev/null
      number=0
      while kubectl create configmap during-$number --from-literal=data="$(head -c 50000 /dev/zero | tr '\\0' x)" 2>${state}/../refusal; do
        number=$((number + 1)); [ $number -lt 200 ] || exit 92
      done
      cat ${state}/../refusal
      kubectl get configmap before || exit 93
      rm ${state}/ballast
      kubectl create configmap after || exit 94
      [ "$(kubectl get configmaps -o name | grep -c during-)" = $number ] || exit 95
      ${serin} cluster delete --name ${lab.name}`;
    const { code, output } = await lab.run(
      prepared(`mount -t tmpfs -o size=260m tmpfs ${state}`, ["sh", "-c", script]),
      { env: { XDG_STATE_HOME: state } },
    );
    assert.equal(code, 0, output);
    assert.match(output, /refused a write: database or disk is full/);
    await nothingIsLeft();
  });

  test("Ctrl-C at any moment of the creation leaves nothing, and the next creation works", async () => {
    for (const afterMs of [60, 150, 300, 500, 800, 1_200, 1_800]) {
      const child = lab.spawn(create);
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
      const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      child.kill("SIGINT");
      const code = await ended;
      if (code === 0) {
        // The signal has come after the creation had finished.
        assert.match(output, /All nodes are ready/);
        assert.equal((await lab.run([serin, "cluster", "delete", "--name", lab.name])).code, 0);
      } else if (output.includes("Starting")) {
        assert.match(output, /interrupted; nothing was left behind\n$/);
        assert.equal(code, 130, output);
      }
      await nothingIsLeft();
      noFilesAreLeft();
    }
    await createAndDelete();
  });

  test("kill -9 of the supervisor, and of the launcher, ends the whole lab, and the next creation works", async () => {
    for (const role of ["cluster-supervisor", "cluster-launcher"]) {
      const created = await lab.create(undefined, twoNodes);
      assert.equal(created.code, 0, created.output);
      const [victim, ...others] = lab.ofRole(role);
      assert.ok(victim !== undefined && others.length === 0, role);
      process.kill(victim.pid, "SIGKILL");
      await nothingIsLeft();
      assert.match((await lab.run([serin, "cluster", "list"])).output, /lifecycle\tstopped/);
    }
    await createAndDelete();
  });

  test("kill -9 of the creation at any moment leaves no process, no lab and no context", async () => {
    for (const afterMs of [80, 100, 120, 140, 160, 180, 200, 250, 300, 350, 450, 600, 900, 1_500]) {
      const child = lab.spawn(create);
      const ended = new Promise((resolve) => child.on("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      child.kill("SIGKILL");
      await ended;
      const isComplete = existsSync(lab.stateDirectory) && lab.hasContext();
      if (isComplete) assert.equal((await lab.run([serin, "cluster", "delete", "--name", lab.name])).code, 0);
      await nothingIsLeft();
      // Before the launcher starts, which takes a few milliseconds, the creation has written only a record.
      await eventually("the lab is gone", () => !existsSync(join(lab.stateDirectory, "pki")));
      assert.equal(lab.hasContext(), false);
    }
    await createAndDelete();
  });

  test("a lab with an owner is deleted with its files and its context when the owner is killed", async (t) => {
    const owner = spawn("sleep", ["600"]);
    t.after(() => owner.kill("SIGKILL"));
    const ended = new Promise((resolve) => owner.once("exit", resolve));
    const created = await lab.create(undefined, ["--workers", "0", "--owner", String(owner.pid)]);
    assert.equal(created.code, 0, created.output);
    assert.ok(lab.hasContext());
    owner.kill("SIGKILL");
    await ended;
    await nothingIsLeft();
    await eventually("the files are gone", () => !existsSync(lab.stateDirectory));
    assert.equal(lab.hasContext(), false);
    const early = spawn("sleep", ["600"]);
    t.after(() => early.kill("SIGKILL"));
    const running = lab.run([...create, "--owner", String(early.pid)]);
    await eventually("the launcher runs", () => lab.ofRole("cluster-launcher")[0]);
    early.kill("SIGKILL");
    assert.match((await running).output, /the owner of the cluster, process \d+, ended before the cluster was ready\n/);
    await nothingIsLeft();
    const { code, output } = await lab.run([...create, "--owner", String(owner.pid)]);
    assert.equal(code, 64, output);
    assert.match(output, /--owner must be the number of a running process, got "\d+"\n.*--owner \$\$/);
  });

  test("a test file that a signal ends leaves neither its lab nor its files", async () => {
    const file = join(lab.directory, "endless.test.mjs");
    const from = (path: string): string => JSON.stringify(join(import.meta.dirname, path));
    writeFileSync(
      file,
      `import { LabCluster } from ${from("../support/lab-cluster.ts")};
      import { test } from "node:test";
      const lab = new LabCluster("abandoned");
      test("hangs", async () => {
        await lab.createOneNode();
        process.stderr.write("lab of " + lab.directory + "\\n");
        await new Promise(() => setInterval(() => undefined, 1000));
      });`,
    );
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const child = spawn(process.execPath, ["--test", "--test-isolation=none", file], {
        // With this variable, a test runner would report to the one that started it.
        env: { ...process.env, NODE_TEST_CONTEXT: undefined },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
      const [, directory = ""] = await eventually("the lab runs", () => /lab of (\S+)/.exec(output) ?? undefined);
      const home = dirname(directory);
      assert.ok(processesOf(join(home, "marked")).length > 3);
      child.kill(signal);
      await eventually("its processes are gone", () => processesOf(join(home, "marked")).length === 0);
      await eventually("its files are gone", () => !existsSync(home));
    }
  });

  test("kill -9 of the launcher during the creation is reported, and leaves nothing", async () => {
    const running = lab.run(create);
    const victim = await eventually("the launcher runs", () => lab.ofRole("cluster-launcher")[0]);
    process.kill(victim.pid, "SIGKILL");
    const { code, output } = await running;
    assert.notEqual(code, 0);
    assert.match(output, /the launcher ended/);
    await nothingIsLeft();
    noFilesAreLeft();
  });
});
