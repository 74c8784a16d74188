import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
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
import { aborted, createLogger, systemClock, type Clock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { PluginInstaller, type PluginInstallerOptions } from "./plugin-installer.ts";
import { notWritten, problemText, type PluginProblem } from "./plugin-problems.ts";

const network = `${JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins: [{ type: "ptp" }] }, undefined, 2)}\n`;
const single = `${JSON.stringify({ cniVersion: "1.0.0", name: "pods", type: "bridge" }, undefined, 2)}\n`;

/** A node's CNI directories, and an installer that runs until the test ends. */
class Node {
  readonly root = mkdtempSync(join(tmpdir(), "serin-installer-"));
  readonly conf = join(this.root, "net.d");
  readonly bin = join(this.root, "bin");
  readonly installer: PluginInstaller;
  installs = 0;
  isReady = true;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(context: TestContext, options: Partial<PluginInstallerOptions> = {}) {
    mkdirSync(this.bin);
    for (const type of ["ptp", "bridge"]) writeFileSync(join(this.bin, type), "");
    this.installer = new PluginInstaller({
      binDirectory: this.bin,
      confDirectory: this.conf,
      chained: true,
      program: Buffer.from("program"),
      surroundings: {
        folders: { programs: "/opt/cni/bin", configuration: "/etc/cni/net.d" },
        nodeRoot: join(this.root, "node"),
      },
      nodeIsReady: () => this.isReady,
      onInstall: () => (this.installs += 1),
      log: createLogger({ scope: "test", write: () => undefined }),
      clock: systemClock,
      ...options,
    });
    context.after(async () => {
      await this.stop();
      rmSync(this.root, { recursive: true, force: true });
    });
  }

  start(): void {
    this.#running = this.installer.run(this.#stop.signal);
  }
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
  write(name: string, text: string): void {
    writeFileSync(join(this.conf, name), text);
  }
  plugins(name: string): string[] {
    const { plugins } = JSON.parse(readFileSync(join(this.conf, name), "utf8")) as { plugins: { type: string }[] };
    return plugins.map(({ type }) => type);
  }
}

function textOf(problem: PluginProblem | undefined): string {
  return problem === undefined ? "" : problemText(problem);
}

test("the installer waits for the cluster's network, and never leaves a file that would make pods fail", async (context) => {
  const node = new Node(context);
  node.start();
  await until(() => existsSync(join(node.bin, "serin-cni")));
  assert.equal(statSync(join(node.bin, "serin-cni")).mode & 0o777, 0o755);
  assert.deepEqual(readdirSync(node.conf), []);
  assert.equal(node.installer.installedAtMs, undefined);
  node.write("10-ptp.conflist", network);
  chmodSync(join(node.conf, "10-ptp.conflist"), 0o640);
  await until(() => node.installer.installedAtMs !== undefined);
  assert.deepEqual(node.plugins("10-ptp.conflist"), ["ptp", "serin-cni"]);
  assert.equal(statSync(join(node.conf, "10-ptp.conflist")).mode & 0o777, 0o640);
  assert.equal(node.installs, 1);
});

test("the installer chains again when another program rewrites the file or the program", async (context) => {
  const node = new Node(context);
  node.start();
  await until(() => existsSync(join(node.bin, "serin-cni")));
  node.write("10-ptp.conflist", network);
  await until(() => node.plugins("10-ptp.conflist").length === 2);
  node.write("10-ptp.conflist", network);
  await until(() => node.plugins("10-ptp.conflist").length === 2);
  writeFileSync(join(node.bin, "serin-cni"), "other");
  await until(() => readFileSync(join(node.bin, "serin-cni"), "utf8") === "program");
  node.write("05-cilium.conflist", network);
  await until(() => node.plugins("05-cilium.conflist").length === 2);
  assert.deepEqual(readdirSync(node.conf).toSorted(), ["05-cilium.conflist", "10-ptp.conflist"]);
});

test("the installer removes its own files, and restores the changed ones", async (context) => {
  const node = new Node(context);
  node.start();
  await until(() => existsSync(join(node.bin, "serin-cni")));
  node.write("10-bridge.conf", single);
  node.write("20-ptp.conflist", network);
  // Serin's first release left this file. It names a plugin that does not exist.
  node.write("serin-cni.conf", '{"cniVersion":"1.0.0","name":"serin-cni","type":"serin-cni"}');
  await until(() => node.installer.installedAtMs !== undefined && !existsSync(join(node.conf, "serin-cni.conf")));
  assert.deepEqual(readdirSync(node.conf).toSorted(), ["10-bridge.conflist", "20-ptp.conflist"]);
  await node.stop();
  node.installer.unchain();
  node.installer.removeProgram();
  assert.deepEqual(readdirSync(node.conf).toSorted(), ["10-bridge.conf", "20-ptp.conflist"]);
  assert.equal(readFileSync(join(node.conf, "10-bridge.conf"), "utf8"), single);
  assert.equal(readFileSync(join(node.conf, "20-ptp.conflist"), "utf8"), network);
  assert.deepEqual(readdirSync(node.bin), ["bridge", "ptp"]);
});

test("a failed installation leaves no file behind, and is not repeated at once because of its own changes", async (context) => {
  const pausesMs: number[] = [];
  const failures: unknown[] = [];
  const node = new Node(context, {
    onInstall: (error) => void failures.push(error),
    clock: {
      ...systemClock,
      sleep: async (ms, signal) => {
        pausesMs.push(ms);
        await aborted(signal ?? assert.fail());
      },
    },
  });
  // The installation fails, because a file cannot replace a directory.
  mkdirSync(join(node.bin, "serin-cni/other"), { recursive: true });
  node.start();
  await until(() => pausesMs.length === 2);
  assert.deepEqual(pausesMs, [30_000, 5_000]);
  assert.equal(failures.length, 1);
  assert.deepEqual(readdirSync(node.bin), ["bridge", "ptp", "serin-cni"]);
});

test("the plugin is chained into a named file, and gets its own file on platforms that call by name", async (context) => {
  const named = new Node(context, { confFile: "20-ptp.conf" });
  named.start();
  await until(() => existsSync(join(named.bin, "serin-cni")));
  named.write("10-other.conflist", network);
  named.write("20-ptp.conflist", network);
  await until(() => named.plugins("20-ptp.conflist").length === 2);
  assert.deepEqual(named.plugins("10-other.conflist"), ["ptp"]);
  const multus = new Node(context, { chained: false, confFile: "istio-cni.conf" });
  multus.start();
  await until(() => multus.installer.installedAtMs !== undefined);
  assert.equal(
    (JSON.parse(readFileSync(join(multus.conf, "istio-cni.conf"), "utf8")) as { type: string }).type,
    "serin-cni",
  );
  await multus.stop();
  multus.installer.unchain();
  assert.deepEqual(readdirSync(multus.conf), []);
});

/** A clock for the installer. Each of the allowed pauses ends at once, and `spent` returns whether they are used up. */
function hastyClock(pauses: number): { readonly clock: Clock; readonly spent: () => boolean } {
  let left = pauses;
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: async (ms, signal) => {
      if (left === 0) await aborted(signal ?? assert.fail());
      left -= 1;
      nowMs += ms;
    },
  };
  return { clock, spent: () => left === 0 };
}

test("the plugin is not chained where the folder has no program of the network, because then no pod could start", async (context) => {
  const { clock, spent } = hastyClock(2);
  const node = new Node(context, { clock });
  for (const type of ["ptp", "bridge"]) rmSync(join(node.bin, type));
  mkdirSync(node.conf);
  node.write("10-ptp.conflist", network);
  const elsewhere = join(node.root, "node/usr/lib/cni");
  mkdirSync(elsewhere, { recursive: true });
  // On some nodes, plugin programs are links that the agent's container cannot follow.
  symlinkSync("/nowhere", join(elsewhere, "ptp"));
  node.start();
  await until(spent);
  assert.deepEqual(node.plugins("10-ptp.conflist"), ["ptp"]);
  assert.equal(node.installer.installedAtMs, undefined);
  assert.match(
    textOf(node.installer.problem),
    /^the node's folder \/opt\/cni\/bin has no program of .* \(ptp in \/etc\/cni\/net\.d\/10-ptp\.conflist\), .* perhaps \/usr\/lib\/cni\. .*Set values\.cni\.cniBinDir /,
  );
});

test("the plugin is chained as soon as the folder has the network's program, and stays while that is replaced", async (context) => {
  const node = new Node(context);
  rmSync(join(node.bin, "ptp"));
  mkdirSync(node.conf);
  node.write("10-ptp.conflist", network);
  node.start();
  await until(() => node.installer.problem !== undefined);
  symlinkSync("/nowhere", join(node.bin, "ptp"));
  await until(() => node.installer.installedAtMs !== undefined);
  assert.deepEqual(node.plugins("10-ptp.conflist"), ["ptp", "serin-cni"]);
  assert.equal(node.installer.problem, undefined);
  rmSync(join(node.bin, "ptp"));
  writeFileSync(join(node.bin, "serin-cni"), "other");
  await until(() => readFileSync(join(node.bin, "serin-cni"), "utf8") === "program");
  assert.deepEqual(node.plugins("10-ptp.conflist"), ["ptp", "serin-cni"]);
  assert.notEqual(node.installer.installedAtMs, undefined);
});

test("a ready node without a configuration in the folder has one elsewhere, and a node that is not ready may get one", async (context) => {
  const starting = hastyClock(6);
  const unready = new Node(context, { clock: starting.clock });
  unready.isReady = false;
  unready.start();
  await until(starting.spent);
  assert.equal(unready.installer.problem, undefined);

  const running = hastyClock(6);
  const node = new Node(context, { clock: running.clock, confFile: "10-calico.conflist" });
  const elsewhere = join(node.root, "node/var/lib/rancher/k3s/agent/etc/cni/net.d");
  mkdirSync(elsewhere, { recursive: true });
  writeFileSync(join(elsewhere, "10-flannel.conflist"), network);
  node.start();
  await until(running.spent);
  assert.match(
    textOf(node.installer.problem),
    /^the node is ready, .* \/etc\/cni\/net\.d has no 10-calico\.conflist, perhaps \/var\/lib\/rancher\/k3s\/agent\/etc\/cni\/net\.d\. .*Set values\.cni\.cniConfDir and values\.cni\.cniConfFileName /,
  );
  assert.equal(node.installer.installedAtMs, undefined);
});

test("a folder that cannot be written is named as the node has it, with what to do", async (context) => {
  const { clock, spent } = hastyClock(2);
  // The installation fails, because no process can create a file in /proc.
  const node = new Node(context, { clock, binDirectory: "/proc" });
  node.start();
  await until(spent);
  assert.match(
    textOf(node.installer.problem),
    /^the CNI plugin cannot be installed into the node's folder \/opt\/cni\/bin: ENOENT/,
  );

  const surroundings = { folders: { programs: "/opt/cni/bin", configuration: "/etc/cni/net.d" }, nodeRoot: "/host" };
  const problem = (code: string, path: string): string => {
    const error = Object.assign(new Error(`${code}: open '${path}'`), { code, path });
    return problemText(notWritten(surroundings, { programs: "/host/bin", configuration: "/host/net.d" }, error));
  };
  assert.equal(
    problem("EROFS", "/host/bin/serin-cni.serin-tmp"),
    "the CNI plugin cannot be installed into the node's folder /opt/cni/bin: EROFS: open '/host/bin/serin-cni.serin-tmp'. Make the folder writable, or set values.cni.cniBinDir to a writable one in which the container runtime looks",
  );
  assert.match(problem("EROFS", "/host/net.d/a"), /folder \/etc\/cni\/net\.d: .*values\.cni\.cniConfDir/);
  assert.match(problem("EACCES", "/host/net.d/a"), /SELinux/);
  assert.equal(problem("EIO", "/var/a"), "the CNI plugin cannot be installed: EIO: open '/var/a'");
});
